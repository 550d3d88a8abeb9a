//! Every word of the pages, in the three languages, with the plural forms that each needs.
//!
//! The greeting is not here: it comes whole, from `crate::greeting`. `{…}` marks what the page fills in.

use serde::Serialize;

use crate::i18n::Language;

/// Forms by CLDR category, under the names that a browser's `Intl.PluralRules` answers with.
#[derive(Serialize)]
pub struct Plural {
    one: &'static str,
    few: &'static str,
    many: &'static str,
    other: &'static str,
}

/// The words of one language.
#[derive(Serialize)]
pub struct Words {
    pub title: &'static str,
    pub choose_counter: &'static str,
    pub no_counters: &'static str,
    pub unknown_counter: &'static str,
    pub to_list: &'static str,
    pub no_script: &'static str,

    pub is_it: &'static str,
    pub who_is_it: &'static str,
    pub yes: &'static str,
    pub no: &'static str,
    pub none_of_these: &'static str,
    pub someone_else: &'static str,
    pub sending: &'static str,
    pub noted: &'static str,

    pub done: &'static str,

    pub by_card: &'static str,
    pub by_card_short: &'static str,
    pub entry_label: &'static str,
    pub find: &'static str,
    pub cancel: &'static str,
    pub looking: &'static str,
    // After `entry_` stands the code that the box answers with.
    pub entry_unknown_entry: &'static str,
    pub entry_consent_ended: &'static str,
    pub entry_too_many_entries: &'static str,
    pub entry_busy: &'static str,
    pub entry_not_sent: &'static str,

    pub visits: Plural,
    // `{n}` in all stores, `{here}` of them in this one; none of them here.
    pub visits_also_here: Plural,
    pub visits_elsewhere: Plural,
    pub first_visit: &'static str,
    pub last_visit: &'static str,
    pub owner: &'static str,
    pub offer: &'static str,
    pub birthday_today: &'static str,
    pub birthday_tomorrow: &'static str,
    pub birthday_in_days: Plural,
    pub card_as_of: &'static str,

    pub connecting: &'static str,
    pub camera_live: &'static str,
    pub camera_starting: &'static str,
    pub camera_stalled: &'static str,
    pub camera_lost: &'static str,
    pub camera_frozen: &'static str,
    pub camera_unreadable: &'static str,
    pub camera_restart_since: &'static str,
    pub camera_refused: &'static str,
    pub camera_refused_since: &'static str,
    pub camera_ended: &'static str,
    pub camera_since: &'static str,
    pub camera_named: &'static str,
    pub no_camera: &'static str,
    pub overloaded: &'static str,
    pub unsaved: Plural,
    // After `trouble_` stands the kind.
    pub trouble_store_unreadable: &'static str,
    pub trouble_store_lost: &'static str,
    pub trouble_key_missing: &'static str,
    pub trouble_key_mismatch: &'static str,
    pub trouble_row_unreadable: Plural,
    pub trouble_clock: &'static str,
    pub trouble_meanwhile: &'static str,
    pub crm_refused: &'static str,
    pub crm_blocked: &'static str,
    pub crm_late: &'static str,
    pub offline: &'static str,
    pub offline_more: &'static str,

    pub visit_gone: &'static str,
    pub no_such_customer: &'static str,
    pub picture_changed: &'static str,
    pub busy: &'static str,
    pub not_sent: &'static str,
}

pub fn of(language: Language) -> &'static Words {
    match language {
        Language::Russian => &RUSSIAN,
        Language::Ukrainian => &UKRAINIAN,
        Language::English => &ENGLISH,
    }
}

static RUSSIAN: Words = Words {
    title: "Касса",
    choose_counter: "Какая это касса?",
    no_counters: "Касс пока нет. Добавьте кассу в настройки.",
    unknown_counter: "Такой кассы нет",
    to_list: "Выбрать кассу",
    no_script: "Этой странице нужен JavaScript. Включите его в браузере.",
    is_it: "Это {name}?",
    who_is_it: "Кто это?",
    yes: "Да",
    no: "Нет",
    none_of_these: "Никто из них",
    someone_else: "Это другой человек",
    sending: "Записываю…",
    noted: "Записано",
    done: "Готово",
    by_card: "Карта или телефон",
    by_card_short: "Карта",
    entry_label: "Номер карты или телефона",
    find: "Найти",
    cancel: "Отмена",
    looking: "Ищу…",
    entry_unknown_entry: "Карта не найдена",
    entry_consent_ended: "Согласие этого клиента больше не действует",
    entry_too_many_entries: "Слишком много попыток. Подождите минуту",
    entry_busy: "Устройство занято. Введите ещё раз",
    entry_not_sent: "Номер не дошёл. Введите ещё раз",
    visits: Plural {
        one: "{n} визит", few: "{n} визита", many: "{n} визитов", other: "{n} визита"
    },
    visits_also_here: Plural {
        one: "{n} визит, из них здесь {here}",
        few: "{n} визита, из них здесь {here}",
        many: "{n} визитов, из них здесь {here}",
        other: "{n} визита, из них здесь {here}",
    },
    visits_elsewhere: Plural {
        one: "{n} визит, здесь впервые",
        few: "{n} визита, здесь впервые",
        many: "{n} визитов, здесь впервые",
        other: "{n} визита, здесь впервые",
    },
    first_visit: "Первый визит",
    last_visit: "Последний визит: {when}",
    owner: "Ведёт: {name}",
    offer: "Можно предложить: {offer}",
    birthday_today: "Сегодня день рождения",
    birthday_tomorrow: "Завтра день рождения",
    birthday_in_days: Plural {
        one: "День рождения через {n} день",
        few: "День рождения через {n} дня",
        many: "День рождения через {n} дней",
        other: "День рождения через {n} дня",
    },
    card_as_of: "Карточка из CRM от {when}",
    connecting: "Подключаюсь…",
    camera_live: "Камера работает",
    camera_starting: "Камера включается…",
    camera_stalled: "Камера замерла",
    camera_lost: "Камера не отвечает",
    camera_frozen: "Картинка камеры застыла",
    camera_unreadable: "Картинка камеры не читается",
    camera_restart_since: "с {time} — перезапустите её",
    camera_refused: "Камера не принимает пароль",
    camera_refused_since: "с {time} — попросите обновить пароль камеры",
    camera_ended: "Запись закончилась",
    camera_since: "с {time} — проверьте кабель и питание",
    camera_named: "«{camera}»: ",
    no_camera: "Без камеры: гости по карте и телефону",
    overloaded: "Устройство не успевает: имена приходят с опозданием",
    unsaved: Plural {
        one: "{n} визит ещё не записан: проверьте диск",
        few: "{n} визита ещё не записаны: проверьте диск",
        many: "{n} визитов ещё не записаны: проверьте диск",
        other: "{n} визита ещё не записаны: проверьте диск",
    },
    trouble_store_unreadable: "База клиентов не читается: позовите администратора",
    trouble_store_lost: "База клиентов пропала: позовите администратора",
    trouble_key_missing: "Карты не узнаём, ключ пропал: позовите администратора",
    trouble_key_mismatch: "Карты не узнаём, ключ чужой: позовите администратора",
    trouble_row_unreadable: Plural {
        one: "Данные {n} клиента не читаются: сообщите в офис",
        few: "Данные {n} клиентов не читаются: сообщите в офис",
        many: "Данные {n} клиентов не читаются: сообщите в офис",
        other: "Данные {n} клиента не читаются: сообщите в офис",
    },
    trouble_clock: "Часы идут неверно: позовите администратора",
    trouble_meanwhile: "Обслуживайте как обычно",
    crm_refused: "CRM не принимает вход: сообщите в офис",
    crm_blocked: "CRM не принимает визиты: сообщите в офис",
    crm_late: "Визиты ждут отправки в CRM с {when}",
    offline: "Нет связи с устройством",
    offline_more: "Имена скрыты. Связь восстановится сама.",
    visit_gone: "Гость уже отошёл от кассы",
    no_such_customer: "Этого клиента больше нет в списке",
    picture_changed: "У кассы уже кто-то другой. Посмотрите ещё раз",
    busy: "Устройство занято. Нажмите ещё раз",
    not_sent: "Ответ не дошёл. Нажмите ещё раз",
};

static UKRAINIAN: Words = Words {
    title: "Каса",
    choose_counter: "Яка це каса?",
    no_counters: "Кас поки немає. Додайте касу до налаштувань.",
    unknown_counter: "Такої каси немає",
    to_list: "Вибрати касу",
    no_script: "Цій сторінці потрібен JavaScript. Увімкніть його в браузері.",
    is_it: "Це {name}?",
    who_is_it: "Хто це?",
    yes: "Так",
    no: "Ні",
    none_of_these: "Ніхто з них",
    someone_else: "Це інша людина",
    sending: "Записую…",
    noted: "Записано",
    done: "Готово",
    by_card: "Картка або телефон",
    by_card_short: "Картка",
    entry_label: "Номер картки або телефону",
    find: "Знайти",
    cancel: "Скасувати",
    looking: "Шукаю…",
    entry_unknown_entry: "Картку не знайдено",
    entry_consent_ended: "Згода цього клієнта більше не діє",
    entry_too_many_entries: "Забагато спроб. Зачекайте хвилину",
    entry_busy: "Пристрій зайнятий. Введіть ще раз",
    entry_not_sent: "Номер не дійшов. Введіть ще раз",
    visits: Plural {
        one: "{n} візит", few: "{n} візити", many: "{n} візитів", other: "{n} візиту"
    },
    visits_also_here: Plural {
        one: "{n} візит, з них тут {here}",
        few: "{n} візити, з них тут {here}",
        many: "{n} візитів, з них тут {here}",
        other: "{n} візиту, з них тут {here}",
    },
    visits_elsewhere: Plural {
        one: "{n} візит, тут уперше",
        few: "{n} візити, тут уперше",
        many: "{n} візитів, тут уперше",
        other: "{n} візиту, тут уперше",
    },
    first_visit: "Перший візит",
    last_visit: "Останній візит: {when}",
    owner: "Веде: {name}",
    offer: "Можна запропонувати: {offer}",
    birthday_today: "Сьогодні день народження",
    birthday_tomorrow: "Завтра день народження",
    birthday_in_days: Plural {
        one: "День народження через {n} день",
        few: "День народження через {n} дні",
        many: "День народження через {n} днів",
        other: "День народження через {n} дня",
    },
    card_as_of: "Картка з CRM від {when}",
    connecting: "З’єднуюся…",
    camera_live: "Камера працює",
    camera_starting: "Камера вмикається…",
    camera_stalled: "Камера завмерла",
    camera_lost: "Камера не відповідає",
    camera_frozen: "Картинка камери завмерла",
    camera_unreadable: "Картинка камери не читається",
    camera_restart_since: "з {time} — перезапустіть її",
    camera_refused: "Камера не приймає пароль",
    camera_refused_since: "з {time} — попросіть оновити пароль камери",
    camera_ended: "Запис закінчився",
    camera_since: "з {time} — перевірте кабель і живлення",
    camera_named: "«{camera}»: ",
    no_camera: "Без камери: гості за карткою та телефоном",
    overloaded: "Пристрій не встигає: імена приходять із запізненням",
    unsaved: Plural {
        one: "{n} візит ще не записано: перевірте диск",
        few: "{n} візити ще не записано: перевірте диск",
        many: "{n} візитів ще не записано: перевірте диск",
        other: "{n} візиту ще не записано: перевірте диск",
    },
    trouble_store_unreadable: "База клієнтів не читається: покличте адміністратора",
    trouble_store_lost: "База клієнтів зникла: покличте адміністратора",
    trouble_key_missing: "Картки не впізнаємо, ключ зник: покличте адміністратора",
    trouble_key_mismatch: "Картки не впізнаємо, ключ чужий: покличте адміністратора",
    trouble_row_unreadable: Plural {
        one: "Дані {n} клієнта не читаються: повідомте офіс",
        few: "Дані {n} клієнтів не читаються: повідомте офіс",
        many: "Дані {n} клієнтів не читаються: повідомте офіс",
        other: "Дані {n} клієнта не читаються: повідомте офіс",
    },
    trouble_clock: "Годинник хибний: покличте адміністратора",
    trouble_meanwhile: "Обслуговуйте як завжди",
    crm_refused: "CRM не приймає вхід: повідомте офіс",
    crm_blocked: "CRM не приймає візити: повідомте офіс",
    crm_late: "Візити чекають на відправлення до CRM з {when}",
    offline: "Немає зв’язку з пристроєм",
    offline_more: "Імена приховано. Зв’язок відновиться сам.",
    visit_gone: "Гість уже відійшов від каси",
    no_such_customer: "Цього клієнта більше немає у списку",
    picture_changed: "Біля каси вже хтось інший. Погляньте ще раз",
    busy: "Пристрій зайнятий. Натисніть ще раз",
    not_sent: "Відповідь не дійшла. Натисніть ще раз",
};

static ENGLISH: Words = Words {
    title: "Counter",
    choose_counter: "Which counter is this?",
    no_counters: "There are no counters yet. Add one to the configuration.",
    unknown_counter: "There is no such counter",
    to_list: "Choose a counter",
    no_script: "This page needs JavaScript. Turn it on in the browser.",
    is_it: "Is it {name}?",
    who_is_it: "Who is it?",
    yes: "Yes",
    no: "No",
    none_of_these: "None of them",
    someone_else: "It is someone else",
    sending: "Saving…",
    noted: "Noted",
    done: "Done",
    by_card: "Card or phone",
    by_card_short: "Card",
    entry_label: "Card or phone number",
    find: "Find",
    cancel: "Cancel",
    looking: "Looking…",
    entry_unknown_entry: "Card not found",
    entry_consent_ended: "This customer’s consent is no longer valid",
    entry_too_many_entries: "Too many attempts. Wait a minute",
    entry_busy: "The device is busy. Enter it again",
    entry_not_sent: "The number did not arrive. Enter it again",
    visits: Plural { one: "{n} visit", few: "{n} visits", many: "{n} visits", other: "{n} visits" },
    visits_also_here: Plural {
        one: "{n} visit, {here} of them here",
        few: "{n} visits, {here} of them here",
        many: "{n} visits, {here} of them here",
        other: "{n} visits, {here} of them here",
    },
    visits_elsewhere: Plural {
        one: "{n} visit, first time here",
        few: "{n} visits, first time here",
        many: "{n} visits, first time here",
        other: "{n} visits, first time here",
    },
    first_visit: "First visit",
    last_visit: "Last visit: {when}",
    owner: "Looked after by {name}",
    offer: "You could offer: {offer}",
    birthday_today: "Birthday today",
    birthday_tomorrow: "Birthday tomorrow",
    birthday_in_days: Plural {
        one: "Birthday in {n} day",
        few: "Birthday in {n} days",
        many: "Birthday in {n} days",
        other: "Birthday in {n} days",
    },
    card_as_of: "Card from the CRM as of {when}",
    connecting: "Connecting…",
    camera_live: "Camera is on",
    camera_starting: "Camera is starting…",
    camera_stalled: "Camera is frozen",
    camera_lost: "Camera does not answer",
    camera_frozen: "The camera’s picture is frozen",
    camera_unreadable: "The camera’s pictures cannot be read",
    camera_restart_since: "since {time} — restart it",
    camera_refused: "Camera refuses its password",
    camera_refused_since: "since {time} — ask for the camera’s password to be renewed",
    camera_ended: "The recording has ended",
    camera_since: "since {time} — check its cable and power",
    camera_named: "“{camera}”: ",
    no_camera: "No camera: guests by card and phone",
    overloaded: "The device cannot keep up: names come late",
    unsaved: Plural {
        one: "{n} visit is not saved yet: check the disk",
        few: "{n} visits are not saved yet: check the disk",
        many: "{n} visits are not saved yet: check the disk",
        other: "{n} visits are not saved yet: check the disk",
    },
    trouble_store_unreadable: "The customers cannot be read: call the administrator",
    trouble_store_lost: "The customers are gone: call the administrator",
    trouble_key_missing: "Cards are not known, the key is gone: call the administrator",
    trouble_key_mismatch: "Cards are not known, the key is another’s: call the administrator",
    trouble_row_unreadable: Plural {
        one: "The data of {n} customer cannot be read: tell the office",
        few: "The data of {n} customers cannot be read: tell the office",
        many: "The data of {n} customers cannot be read: tell the office",
        other: "The data of {n} customers cannot be read: tell the office",
    },
    trouble_clock: "The clock is wrong: call the administrator",
    trouble_meanwhile: "Serve as usual",
    crm_refused: "The CRM refuses the device’s login: tell the office",
    crm_blocked: "The CRM takes no visits: tell the office",
    crm_late: "Visits have been waiting for the CRM since {when}",
    offline: "No connection to the device",
    offline_more: "Names are hidden. The connection will come back by itself.",
    visit_gone: "The guest has already left the counter",
    no_such_customer: "This customer is no longer on the list",
    picture_changed: "Someone else is at the counter by now. Look again",
    busy: "The device is busy. Press again",
    not_sent: "The answer did not arrive. Press again",
};

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn places(text: &str) -> Vec<&str> {
        let mut found: Vec<&str> = text.split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect();
        found.sort_unstable();
        found
    }

    fn compare(word: &str, ours: &Value, theirs: &Value) {
        match (ours, theirs) {
            (Value::String(ours), Value::String(theirs)) => {
                assert!(!theirs.is_empty(), "{word} is empty");
                assert_eq!(places(ours), places(theirs), "{word} is filled with other things");
            }
            (Value::Object(ours), Value::Object(theirs)) => {
                for (form, text) in ours {
                    compare(&format!("{word}.{form}"), text, &theirs[form]);
                }
            }
            _ => assert_eq!(ours, theirs, "{word} is neither words nor forms"),
        }
    }

    #[test]
    fn every_language_fills_the_same_places() {
        let english = serde_json::to_value(&ENGLISH).unwrap();
        for language in Language::ALL {
            let words = serde_json::to_value(of(language)).unwrap();
            compare(language.code(), &english, &words);
        }
    }
}
