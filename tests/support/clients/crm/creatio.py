"""creatio-api-py (by login and password) and python-odata (by OAuth) against the fake Creatio site."""

import os
import tempfile
from datetime import datetime
import uuid

import fake

# creatio-api-py keeps its session in a sealed file and looks for settings in the folder that it runs in.
os.chdir(tempfile.mkdtemp())
os.environ["SESSIONS_ENCRYPTION_KEY"] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
fake.lead_requests()

import requests
from creatio_api_py import CreatioODataAPI
from odata import ODataService
from odata.exceptions import ODataError
from odata.flags import ODataServerFlags
from odata.property import DatetimeProperty, StringProperty, UUIDProperty

told = fake.told

# The one library: cookies, with the session's guard.
error = fake.refused(ValueError, lambda: CreatioODataAPI(base_url=fake.url).authenticate("Supervisor", "wrong"))
fake.expect("what a refused login says", "Invalid user name" in str(error))
site = CreatioODataAPI(base_url=fake.url)
site.authenticate("Supervisor", told["password"])
made = site.add_collection_data("Contact", {"Name": "Соколов Иван", "MobilePhone": "+7 912 345-67-89"}).json()
there = site.get_collection_data("Contact", record_id=made["Id"]).json()
fake.expect("read again", there["Name"] == "Соколов Иван")
listed = site.get_collection_data("Contact", top=10, skip=5, count=True, select=["Id", "Name"], order_by="Id").json()
fake.expect("a page with its count", len(listed["value"]) == 10 and listed["@odata.count"] == told["seeded"] + 1)
fake.expect("nothing but what was selected", set(listed["value"][0]) - {"@odata.etag"} == {"Id", "Name"})
fake.expect("a count alone", site.get_collection_data("Contact", only_count=True).text == str(told["seeded"] + 1))
found = site.get_collection_data("Contact", filter="contains(MobilePhone, '345-67')").json()["value"]
fake.expect("by a part", [row["Id"] for row in found] == [made["Id"]])
error = fake.refused(requests.HTTPError, lambda: site.get_collection_data("UsrNothing"))
fake.expect("an unknown set", error.response.status_code == 404)
gone = site.add_collection_data("Contact", {"Name": "Лишний"}).json()["Id"]
fake.expect("deleted", site.delete_collection_data("Contact", gone).status_code == 204)

# The other: what it knows of the tables it reads from $metadata.
form = {"grant_type": "client_credentials", "client_id": told["client_id"], "client_secret": told["client_secret"]}
token = requests.post(f"{fake.url}/connect/token", data=form).json()["access_token"]
session = requests.Session()
session.headers["Authorization"] = f"Bearer {token}"
service = ODataService(
    f"{fake.url}/0/odata/", reflect_entities=True, quiet_progress=True, session=session,
    server_flags=ODataServerFlags(skip_null_properties=True, provide_odata_type_annotation=False))
fake.expect("the tables", {"Contact", "Activity", "ActivityCategory"} <= set(service.entities))
Contact = service.entities["Contact"]

ivan = service.query(Contact).filter(Contact.Id == made["Id"]).first()
fake.expect("found by its id", ivan.Name == "Соколов Иван")
ivan.UsrSnovaCustomer = "k-1"
ivan.Email = "i@x.ru"
service.save(ivan)
by_key = service.query(Contact).filter(Contact.UsrSnovaCustomer == "k-1").all()
fake.expect("found by external id", [contact.Email for contact in by_key] == ["i@x.ru"])
either = service.query(Contact).filter((Contact.Email == "i@x.ru") | Contact.Name.startswith("Нет")).all()
fake.expect("one or the other", len(either) == 1)
fake.expect("nobody", service.query(Contact).filter(Contact.Name == "O'Connor").all() == [])
some = service.query(Contact).order_by(Contact.Id.asc()).limit(7).offset(told["seeded"] - 3).all()
fake.expect("the last page", len(some) == 4)

# Visits, under ids of our own. python-odata leaves a lookup's column out of tables that it has read, and not of these.
class Activity(service.Entity):
    __odata_type__, __odata_collection__ = "Terrasoft.Configuration.OData.Activity", "Activity"
    Id = UUIDProperty("Id", primary_key=True)
    Title = StringProperty("Title")
    ContactId = UUIDProperty("ContactId")
    StartDate = DatetimeProperty("StartDate")


def visit(key, contact):
    activity = Activity()
    activity.Id, activity.Title, activity.ContactId = key, "Визит", contact
    activity.StartDate = datetime(2026, 1, 12, 11, 5)
    return activity


keys = [str(uuid.uuid4()) for _ in range(2)]
for key in keys:
    service.save(visit(key, made["Id"]))
error = fake.refused(ODataError, lambda: service.save(visit(keys[0], made["Id"])))
fake.expect("the second time it is refused", "500" in str(error.status_code))
fake.refused(ODataError, lambda: service.save(visit(str(uuid.uuid4()), str(uuid.uuid4()))))
there = service.query(Activity).filter(Activity.Id == keys[0]).first()
fake.expect("the time", there.StartDate.isoformat() == "2026-01-12T11:05:00+00:00")
service.delete(service.query(Activity).filter(Activity.Id == keys[1]).first())
fake.expect("deleted", service.query(Activity).filter(Activity.Id == keys[1]).all() == [])
fake.report(contact=made["Id"], visit=keys[0])
