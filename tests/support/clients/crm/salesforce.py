"""simple-salesforce against the fake Salesforce org."""

import fake
from simple_salesforce import (
    Salesforce,
    SalesforceAuthenticationFailed,
    SalesforceExpiredSession,
    SalesforceMalformedRequest,
    SalesforceResourceNotFound,
)

fake.lead_requests("my.salesforce.com")
login = dict(domain="shop.my", consumer_key=fake.told["client_id"], version="62.0")

error = fake.refused(SalesforceAuthenticationFailed, lambda: Salesforce(consumer_secret="wrong", **login))
fake.expect("the code of a wrong secret", error.code == "invalid_client")
org = Salesforce(consumer_secret=fake.told["client_secret"], **login)
fake.expect("the instance is the fake", org.sf_instance in fake.url)

# What the org is made of.
names = [described["name"] for described in org.describe()["sobjects"]]
fake.expect("the objects", {"Contact", "Store_Visit__c"} <= set(names))
fields = {field["name"]: field for field in org.Store_Visit__c.describe()["fields"]}
fake.expect("the visit's key is a unique external id", fields["Visit_UID__c"]["unique"] and fields["Visit_UID__c"]["externalId"])
fake.expect("calls left", org.limits()["DailyApiRequests"]["Remaining"] > 0)
fake.expect("usage from the header", org.api_usage["api-usage"].used == 113)

# One contact's life.
made = org.Contact.create({"LastName": "O'Connor", "FirstName": "Иван", "MobilePhone": "+7 912 345-67-89"})
fake.expect("created", made["success"] and made["errors"] == [])
contact = org.Contact.get(made["id"])
fake.expect("a field that was not given is null", contact["Email"] is None and contact["FirstName"] == "Иван")
error = fake.refused(SalesforceMalformedRequest, lambda: org.Contact.create({"FirstName": "Иван"}))
fake.expect("a surname is required", error.content[0]["errorCode"] == "REQUIRED_FIELD_MISSING")
error = fake.refused(SalesforceMalformedRequest, lambda: org.Contact.create({"LastName": "A", "Shoe__c": "44"}))
fake.expect("an unknown field is refused", error.content[0]["errorCode"] == "INVALID_FIELD")
fake.expect("updated", org.Contact.update(made["id"], {"Snova_Key__c": "k-1", "Snova_Customer__c": "k-1"}) == 204)
fake.expect("found by external id", org.Contact.get_by_custom_id("Snova_Key__c", "k-1")["Id"] == made["id"])
fake.expect("upsert of one that is there", org.Contact.upsert("Snova_Key__c/k-1", {"Email": "i@x.ru"}) == 200)
fake.expect("upsert of a new one", org.Contact.upsert("Snova_Key__c/k-2", {"LastName": "B"}) == 201)
error = fake.refused(SalesforceMalformedRequest, lambda: org.Contact.create({"LastName": "C", "Snova_Key__c": "k-2"}))
fake.expect("a key cannot be had twice", error.content[0]["errorCode"] == "DUPLICATE_VALUE")
fake.refused(SalesforceResourceNotFound, lambda: org.Contact.get("003000000999999999"))

# What is deleted is told by queryAll alone.
bin = org.Contact.create({"LastName": "D"})["id"]
fake.expect("deleted", org.Contact.delete(bin) == 204)
fake.refused(SalesforceResourceNotFound, lambda: org.Contact.get(bin))
soql = f"SELECT Id, IsDeleted, MasterRecordId FROM Contact WHERE Id = '{bin}'"
fake.expect("query leaves it out", org.query(soql)["totalSize"] == 0)
fake.expect("queryAll has it", org.query(soql, include_deleted=True)["records"][0]["IsDeleted"] is True)

# Queries: quoting, alternatives, pages.
from simple_salesforce import format_soql

found = org.query(format_soql("SELECT Id, Email FROM Contact WHERE LastName = {}", "O'Connor"))
fake.expect("a quote in a literal", found["totalSize"] == 1 and found["records"][0]["Email"] == "i@x.ru")
found = org.query(format_soql("SELECT Id FROM Contact WHERE Snova_Key__c IN {} ORDER BY Id LIMIT 5", ["k-1", "k-2"]))
fake.expect("a list", [row["Id"] for row in found["records"]][0] == made["id"] and found["done"])
fake.refused(SalesforceMalformedRequest, lambda: org.query("SELECT FROM"))
rows = org.query_all("SELECT Id, SystemModstamp FROM Contact ORDER BY SystemModstamp, Id")
fake.expect("all pages", rows["totalSize"] == fake.told["seeded"] + 2 == len({row["Id"] for row in rows["records"]}))
fake.expect("times have no colon in their offset", rows["records"][0]["SystemModstamp"].endswith("+0000"))

# Visits, as our connector writes them: a collection by external id, twice, with a bad row in it.
def visit(key, **more):
    return {"attributes": {"type": "Store_Visit__c"}, "Visit_UID__c": key, "Contact__c": made["id"],
            "At__c": "2026-01-12T11:05:00Z", "Counter__c": "shop / till-1", **more}


collection = {"allOrNone": False, "records": [visit("v-1"), visit("v-2", At__c="yesterday"), visit("v-3")]}
for created in (True, False):
    answer = org.restful("composite/sobjects/Store_Visit__c/Visit_UID__c", method="PATCH", json=collection)
    fake.expect("a bad row does not hold up the others", [row["success"] for row in answer] == [True, False, True])
    fake.expect("the second time the same", answer[0]["created"] is created)
row = org.Store_Visit__c.get_by_custom_id("Visit_UID__c", "v-1")
fake.expect("the time as Salesforce writes it", row["At__c"] == "2026-01-12T11:05:00.000+0000")
fake.expect("deleted by its key", org.Store_Visit__c.delete("Visit_UID__c/v-3") == 204)
fake.refused(SalesforceResourceNotFound, lambda: org.Store_Visit__c.delete("Visit_UID__c/v-3"))

# A session that Salesforce ends.
stranger = Salesforce(session_id="00Dnobody!", instance_url=fake.url, version="62.0", session=org.session)
error = fake.refused(SalesforceExpiredSession, lambda: stranger.Contact.get(made["id"]))
fake.expect("the code of an ended session", error.content[0]["errorCode"] == "INVALID_SESSION_ID")

fake.report(contact=made["id"])
