"""pysugarcrm against the fake SugarCRM tenant."""

import fake

fake.lead_requests()

from pysugarcrm import SugarCRM, sugar_api

told = fake.told
where = dict(login_path="/rest/v11_10/oauth2/token", base_path="/rest/v11_10/", platform="tests")
fake.refused(ValueError, lambda: SugarCRM(fake.url, told["username"], "wrong", **where))

with sugar_api(fake.url, told["username"], told["password"], **where) as sugar:
    fake.expect("who that is", sugar.me["current_user"]["user_name"] == told["username"])

    # Contacts.
    made = sugar.post("/Contacts", json={"first_name": "Иван", "last_name": "O'Connor", "phone_mobile": "+79123456789",
                                         "email": [{"email_address": "i@x.ru", "primary_address": True}], "shoe": "44"})
    fake.expect("an unknown field is passed over", made["last_name"] == "O'Connor" and "shoe" not in made)
    there = sugar.get(f"/Contacts/{made['id']}", {"fields": "first_name,email"})
    fake.expect("read again", there["email"][0]["email_address"] == "i@x.ru" and "last_name" not in there)
    changed = sugar.put(f"/Contacts/{made['id']}", json={"first_name": "Иоанн"})
    fake.expect("changed", (changed["first_name"], changed["last_name"]) == ("Иоанн", "O'Connor"))
    wanted = {"filter": [{"$or": [{"phone_mobile": {"$equals": "+79123456789"}}, {"email": {"$equals": "x@x.ru"}}]}]}
    found = sugar.post("/Contacts/filter", json={**wanted, "fields": "id", "max_num": 5})
    fake.expect("found", [row["id"] for row in found["records"]] == [made["id"]] and found["next_offset"] == -1)
    error = sugar.post("/Contacts/filter", json={"filter": [{"shoe": {"$equals": "44"}}]})
    fake.expect("an unknown field is refused when asked for", error["error"] == "invalid_parameter")
    fake.expect("nobody", sugar.get("/Contacts/nobody")["error"] == "not_found")

    # Pages, by the address alone.
    everybody, offset = [], 0
    while offset != -1:
        page = sugar.get("/Contacts", {"max_num": 50, "offset": offset, "order_by": "date_modified:ASC", "fields": "id"})
        everybody += [row["id"] for row in page["records"]]
        offset = page["next_offset"]
    fake.expect("all pages", len(set(everybody)) == len(everybody) == told["seeded"] + 1)

    # Visits by sync_key, one and one again, and in bulk.
    meeting = {"name": "Визит", "status": "Held", "date_start": "2026-01-12T14:05:00+03:00", "duration_minutes": 5,
               "parent_type": "Contacts", "parent_id": made["id"], "contacts": {"add": [{"id": made["id"]}]}}
    first = sugar._api_request("PATCH", "/Meetings/sync_key/v-1", json=meeting)["record"]
    fake.expect("the same one", sugar._api_request("PATCH", "/Meetings/sync_key/v-1", json=meeting)["record"] == first)
    import json

    rows = sugar.post("/bulk", json={"requests": [
        {"url": f"/v11_10/Meetings/sync_key/{key}", "method": "PATCH", "data": json.dumps({**meeting, **more})}
        for key, more in (("v-1", {}), ("bad", {"date_start": "yesterday"}), ("v-2", {}))]})
    fake.expect("a bad one does not hold up the others", [row["status"] for row in rows] == [200, 422, 201])
    there = sugar.get(f"/Meetings/{first}")
    fake.expect("the time", there["date_start"] == "2026-01-12T11:05:00+00:00" and there["status"] == "Held")

# Who logs in on the same platform ends the session before.
before = SugarCRM(fake.url, told["username"], told["password"], **where)
SugarCRM(fake.url, told["username"], told["password"], **where)
fake.expect("logged out", before.me["error"] in ("need_login", "invalid_grant"))
fake.report(contact=made["id"])
