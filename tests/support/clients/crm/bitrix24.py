"""b24pysdk, the vendor's own library, against the fake Битрикс24 portal."""

from urllib.parse import urlsplit

import fake

fake.lead_requests("oauth.bitrix24.tech")

from b24pysdk import BitrixApp, BitrixToken, BitrixWebhook, Client
from b24pysdk.errors import BitrixAPIError, BitrixAPIQueryLimitExceeded

told = fake.told
CONTACT, VISIT = 3, 1046
domain = urlsplit(fake.url).netloc
portal = Client(BitrixWebhook(domain=domain, webhook_token=told["webhook"]))

error = fake.refused(BitrixAPIError, lambda: Client(BitrixWebhook(domain=domain, webhook_token="1/wrong")).crm.item.fields(CONTACT).result)
fake.expect(f"what a wrong webhook says: {error}", error.status_code == 401)

# One contact's life.
fields = portal.crm.item.fields(CONTACT).result["fields"]
fake.expect("the fields", fields["fm"]["type"] == "crm_multifield" and fields["originId"]["type"] == "string")
made = portal.crm.item.add(CONTACT, {
    "name": "Иван", "secondName": "Петрович", "lastName": "O'Connor & Co + #1", "shoe": 44,
    "fm": [{"typeId": "PHONE", "valueType": "WORK", "value": "+79123456789"}]}).result["item"]
fake.expect("an unknown field is passed over", "shoe" not in made)
there = portal.crm.item.get(CONTACT, made["id"]).result["item"]
fake.expect("read again", there["lastName"] == "O'Connor & Co + #1" and there["fm"][0]["value"] == "+79123456789")
portal.crm.item.update(CONTACT, made["id"], {"originatorId": "snova", "originId": "k-1"}).call()
listed = portal.crm.item.list(CONTACT, filter={"=originatorId": "snova", "=originId": "k-1"}, select=["id"]).result["items"]
fake.expect("found by its id", [row["id"] for row in listed] == [made["id"]])
fake.expect("by phone", portal.crm.duplicate.findbycomm("PHONE", ["+79123456789"], entity_type="CONTACT").result == {"CONTACT": [made["id"]]})
fake.expect("nobody by phone", portal.crm.duplicate.findbycomm("PHONE", ["+79120000000"], entity_type="CONTACT").result == [])
old = portal.crm.contact.get(made["id"]).result
fake.expect("by the older method", old["SECOND_NAME"] == "Петрович" and old["PHONE"][0]["VALUE"] == "+79123456789")
error = fake.refused(BitrixAPIError, lambda: portal.crm.item.get(CONTACT, 999_999).result)
fake.expect(f"nobody: {error}", error.status_code == 400)

# Lists: pages of fifty, by offset and by id.
slow = list(portal.crm.item.list(CONTACT, select=["id"]).as_list().result)
fake.expect("all pages", len({row["id"] for row in slow}) == len(slow) == told["seeded"] + 1)
fast = list(portal.crm.item.list(CONTACT, select=["id"]).as_list_fast().result)
fake.expect("the same by id", {row["id"] for row in fast} == {row["id"] for row in slow})

# Visits in a batch: texts that a query would spoil, one that is wrong, and all of it once more.
def visit(key, **more):
    return portal.crm.item.add(VISIT, {
        "title": "Визит & касса #1 +100%", "xmlId": key, "contactIds": [made["id"]], "ufCrm5At": "2026-01-12T14:05:00+03:00", **more})


def send():
    return portal.call_batch({"a": visit("v-1"), "bad": portal.crm.item.get(CONTACT, 999_999), "b": visit("v-2")}).response.result


first = send()
fake.expect("a bad one does not hold up the others", set(first.result) == {"a", "b"} and set(first.result_error) == {"bad"})
fake.expect("what was written is what was meant", first.result["a"]["item"]["title"] == "Визит & касса #1 +100%")
second = send()
fake.expect("sent twice it is there twice", second.result["a"]["item"]["id"] != first.result["a"]["item"]["id"])
found = portal.crm.item.list(VISIT, filter={"@xmlId": ["v-1", "v-2"]}, select=["id", "xmlId"]).result["items"]
fake.expect("all four", sorted(row["xmlId"] for row in found) == ["v-1", "v-1", "v-2", "v-2"])
for row in (second.result["a"], second.result["b"]):
    portal.crm.item.delete(VISIT, row["item"]["id"]).call()
comment = portal.crm.timeline.comment.add({"ENTITY_ID": made["id"], "ENTITY_TYPE": "contact", "COMMENT": "Визит"}).result
fake.expect("a comment's number", isinstance(comment, int))
comments = portal.crm.timeline.comment.list(select=["ID", "COMMENT"], filter={"ENTITY_ID": made["id"], "ENTITY_TYPE": "contact"}).result
fake.expect("the comment", [row["COMMENT"] for row in comments] == ["Визит"])

# By OAuth: a token that has expired is exchanged, and the new one is used.
app = BitrixApp(client_id=told["client_id"], client_secret=told["client_secret"])
token = BitrixToken(domain=domain, auth_token="expired", refresh_token=told["refresh_token"], bitrix_app=app)
fake.expect("with a fresh token", Client(token).crm.item.get(CONTACT, made["id"]).result["item"]["id"] == made["id"])
fake.expect("another refresh token", token.refresh_token not in (None, told["refresh_token"]))

# More than the bucket holds. The library would wait and ask again; once is enough here.
from b24pysdk import Config

Config().configure(default_max_retries=1)


def burst():
    for _ in range(60):
        portal.crm.item.fields(CONTACT).call()


fake.refused(BitrixAPIQueryLimitExceeded, burst)
fake.report(contact=str(made["id"]))
