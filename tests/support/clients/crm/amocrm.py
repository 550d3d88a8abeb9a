"""aioamocrm against the fake amoCRM account."""

import asyncio
import ssl

import fake
import httpx
from aioamocrm import (
    AmoCRMClient,
    AuthError,
    Contact,
    LongLivedToken,
    MemoryTokenStorage,
    Note,
    NotFoundError,
    OAuth2,
    RateLimitError,
    RetryPolicy,
    TokenSet,
    ValidationError,
)

told = fake.told


async def refused(kind, call):
    try:
        await call
    except kind as error:
        return error
    raise SystemExit(f"not refused with {kind.__name__}")


def client(http, auth, **more):
    return AmoCRMClient(base_url=fake.url, auth=auth, http=http, **{"rate_limit": 5, **more})


async def main():
    # What is not sent again by itself is what this looks at.
    http = httpx.AsyncClient(verify=ssl.create_default_context(cafile=fake.ca), trust_env=False)
    amo = client(http, LongLivedToken(told["token"]))
    fake.expect("the account", (await amo.account.get()).id == 1)
    fields = {field.id: field async for field in amo.contacts.custom_fields.iterate()}
    fake.expect("the fields", fields[11].code == "PHONE" and fields[told["external_id"]].type == "text")
    await refused(AuthError, client(http, LongLivedToken("wrong")).account.get())

    # Contacts.
    ivan = Contact(first_name="Иван", last_name="Петров")
    ivan.set_field("PHONE", "+7 912 345-67-89", enum_code="WORK")
    ivan.set_field("EMAIL", "i@x.ru", enum_code="WORK")
    made = await amo.contacts.create([ivan, {"first_name": "Анна", "request_id": "second"}])
    fake.expect("a reference for each", len(made) == 2 and made[1].request_id == "second")
    there = await amo.contacts.get(made[0].id)
    fake.expect("the name is put together", there.name == "Иван Петров")
    fake.expect("the phone", there.field_value("PHONE") == "+7 912 345-67-89")
    await amo.contacts.update([{"id": made[0].id, "custom_fields_values": [
        {"field_id": told["external_id"], "values": [{"value": "k-1"}]}]}])
    there = await amo.contacts.get(made[0].id)
    fake.expect("a written field", there.field_value(told["external_id"]) == "k-1")
    fake.expect("the others are kept", there.field_value("EMAIL") == "i@x.ru")
    await refused(NotFoundError, amo.contacts.get(999_999_999))
    error = await refused(ValidationError, amo.contacts.create([{"custom_fields_values": [
        {"field_id": 4711, "values": [{"value": "x"}]}]}]))
    issue = error.errors[0]
    fake.expect("what is wrong", (issue.code, issue.path) == ("NotSupportedChoice", "0.custom_fields_values.0.field_id"))

    # Lists: pages are linked, nothing is 204.
    everybody = [contact.id async for contact in amo.contacts.iterate(order={"updated_at": "desc"})]
    fake.expect("all pages", len(set(everybody)) == len(everybody) == told["seeded"] + 2)
    fake.expect("by a part of the phone", [c.id for c in await amo.contacts.get_page(query="3456789")] == [made[0].id])
    fake.expect("nobody", len(await amo.contacts.get_page(query="nobody of this name")) == 0)

    # Visits, as our connector writes them. The same one twice is two: that is why it looks first.
    def visit(contact, key):
        return Note(entity_id=contact, note_type="extended_service_message", created_at=1767225600,
                    params={"service": "till-1", "text": f"Визит #visit:{key}"})

    keys = [f"0195a2f0-4c10-7d3e-9a51-2b7f10c4e8a{place}" for place in range(2)]
    notes = await amo.contacts.notes.create([visit(made[0].id, key) for key in keys])
    again = await amo.contacts.notes.create([visit(made[0].id, keys[0])])
    fake.expect("another note", again[0].id not in [note.id for note in notes])
    wanted = {"note_type": ["extended_service_message"], "updated_at": {"from": 1767225600}}
    found = [note async for note in amo.contacts.notes.iterate(entity_id=made[0].id, filter=wanted)]
    fake.expect("all three", len(found) == 3 and all(note.params["service"] == "till-1" for note in found))
    fake.expect("of another kind none", len(await amo.contacts.notes.get_page(filter={"note_type": ["call_in"]})) == 0)
    note = await amo.contacts.notes.get(notes[1].id, entity_id=made[0].id)
    fake.expect("the time that was given", note.created_at == 1767225600)
    await refused(ValidationError, amo.contacts.notes.create([Note(entity_id=made[0].id, note_type="fax", params={})]))

    # OAuth: a refresh token buys one access token.
    def oauth():
        spent = TokenSet(access_token="old", refresh_token=told["refresh_token"], expires_at=0)
        return OAuth2(told["client_id"], told["client_secret"], told["redirect_uri"], MemoryTokenStorage(spent))

    app = oauth()
    fake.expect("with a fresh token", (await client(http, app).account.get()).id == 1)
    await refused(AuthError, client(http, oauth()).account.get())

    # Too many a second.
    await asyncio.sleep(1.1)
    hasty = client(http, LongLivedToken(told["token"]), rate_limit=None, retry=RetryPolicy(max_attempts=1))

    async def burst():
        for _ in range(9):
            await hasty.account.get()

    await refused(RateLimitError, burst())
    await asyncio.sleep(1.1)
    fake.expect("open again", (await amo.account.get()).id == 1)
    fake.report(contact=str(made[0].id), keys=keys)


asyncio.run(main())
