"""Microsoft's own Dataverse client, and its login library, against the fake Dynamics environment."""

import uuid

import fake

fake.lead_requests("login.microsoftonline.com")

import requests
from azure.identity import ClientSecretCredential
from PowerPlatform.Dataverse.client import DataverseClient
from PowerPlatform.Dataverse.core.errors import HttpError
from PowerPlatform.Dataverse.models import UpsertItem

told = fake.told
FORMATTED = "OData.Community.Display.V1.FormattedValue"


def credential(secret):
    # The addresses of a login are Microsoft's alone: it is not asked for them.
    return ClientSecretCredential(told["tenant"], told["client_id"], secret, disable_instance_discovery=True)


try:
    DataverseClient(fake.url, credential("wrong")).records.list("contact", top=1)
    raise SystemExit("a wrong secret was taken")
except Exception as error:
    fake.expect(f"the login's own code: {error}", "AADSTS7000215" in str(error))

with DataverseClient(fake.url, credential(told["client_secret"])) as org:
    # One contact's life.
    made = org.records.create("contact", {"firstname": "Иван", "lastname": "O'Connor", "mobilephone": "+79123456789"})
    contact = org.records.retrieve("contact", made, select=["firstname", "emailaddress1"])
    fake.expect("read again", contact["firstname"] == "Иван" and contact["emailaddress1"] is None)
    org.records.update("contact", made, {"new_cardnumber": "k-1", "new_snovacustomer": "k-1"})
    org.records.upsert("contact", [UpsertItem({"new_cardnumber": "k-1"}, {"emailaddress1": "i@x.ru"})])
    org.records.upsert("contact", [UpsertItem({"new_cardnumber": "k-2"}, {"lastname": "Новый"})])
    org.records.upsert("contact", [
        UpsertItem({"new_cardnumber": "k-3"}, {"lastname": "Третий"}),
        UpsertItem({"new_cardnumber": "k-4"}, {"lastname": "Четвёртый"}),
    ])
    found = org.records.list("contact", filter="new_cardnumber eq 'k-1'", select=["contactid", "emailaddress1"])
    fake.expect("one row by its key", [(row["contactid"], row["emailaddress1"]) for row in found] == [(made, "i@x.ru")])
    error = fake.refused(HttpError, lambda: org.records.create("contact", {"lastname": "X", "new_cardnumber": "k-1"}))
    fake.expect(f"a key cannot be had twice: {error}", error.status_code == 412)
    error = fake.refused(HttpError, lambda: org.records.create("contact", {"lastname": "X", "new_shoe": "44"}))
    fake.expect(f"an unknown column is refused: {error}", error.status_code == 400)
    fake.expect("nobody", org.records.retrieve("contact", str(uuid.uuid4())) is None)

    # Lists: quotes, pages, names for people.
    found = org.records.list("contact", filter="lastname eq 'O''Connor'", select=["lastname"])
    fake.expect("a quote in a literal", len(found) == 1)
    pages = list(org.records.list_pages("contact", select=["contactid"], orderby=["contactid"], page_size=500))
    ids = {row["contactid"] for page in pages for row in page}
    fake.expect("all pages", len(pages) > 2 and len(ids) == told["seeded"] + 4)
    owner = org.records.list("contact", filter=f"contactid eq {made}", include_annotations=FORMATTED)[0]
    fake.expect("an owner's name", owner[f"_ownerid_value@{FORMATTED}"] == "# Snova")

    # Visits in a batch, each under its own id; one of them is bad.
    keys = [str(uuid.uuid4()) for _ in range(3)]
    batch = org.batch.new()
    for place, key in enumerate(keys):
        of = str(uuid.uuid4()) if place == 1 else made
        batch.records.create("task", {
            "activityid": key, "subject": "Визит", "scheduledstart": "2026-01-12T11:05:00Z",
            "regardingobjectid_contact_task@odata.bind": f"/contacts({of})"})
    result = batch.execute(continue_on_error=True)
    fake.expect("a bad row does not hold up the others", [row.is_success for row in result.responses] == [True, False, True])
    fake.expect("ids are ours", [row.entity_id for row in result.responses if row.is_success] == [keys[0], keys[2]])
    again = org.batch.new()
    again.records.create("task", {"activityid": keys[0], "subject": "Визит"})
    failed = again.execute(continue_on_error=True).failed
    fake.expect("the second time it is refused", len(failed) == 1 and failed[0].status_code == 412)
    org.records.update("task", keys[0], {"statecode": 1, "statuscode": 5})
    org.records.delete("task", keys[2])
    error = fake.refused(HttpError, lambda: org.records.delete("task", keys[2]))
    fake.expect("it is gone", error.status_code == 404)
    both = org.records.create("contact", [{"lastname": "Пятый"}, {"lastname": "Шестой"}])
    fake.expect("ids of many", len(both) == 2)

# Without its bearer nothing is answered.
answer = requests.get(f"{fake.url}/api/data/v9.2/contacts", headers={"Authorization": "Bearer x"})
fake.expect("401", answer.status_code == 401)
fake.report(contact=made, visit=keys[0])
