//! The greeting that a customer hears: right words, right form of address, right case.

use proptest::prelude::*;
use snova::customer::{FormOfAddress, Gender, PersonName};
use snova::greeting::{DayHours, PartOfDay, address, greet, greet_at};
use snova::i18n::Language::{self, English, Russian, Ukrainian};

fn full(given: &str, patronymic: &str) -> PersonName {
    PersonName { patronymic: Some(patronymic.to_owned()), ..PersonName::given(given) }
}

fn titled(family: &str, gender: Gender) -> PersonName {
    PersonName {
        family: Some(family.to_owned()),
        gender: Some(gender),
        form: FormOfAddress::TitleFamily,
        ..PersonName::given("Хтось")
    }
}

fn with_gender(given: &str, gender: Gender) -> PersonName {
    PersonName { gender: Some(gender), ..PersonName::given(given) }
}

#[test]
fn the_greeting_is_right_in_three_languages() {
    let ivan_ru = full("Иван", "Петрович");
    let ivan_uk = full("Іван", "Петрович");
    let ivan_en = PersonName::given("Ivan");
    for (name, language, hour, again, said) in [
        (&ivan_ru, Russian, 8, false, "Доброе утро, Иван Петрович!"),
        (&ivan_ru, Russian, 14, false, "Добрый день, Иван Петрович!"),
        (&ivan_ru, Russian, 20, false, "Добрый вечер, Иван Петрович!"),
        (&ivan_ru, Russian, 14, true, "И снова здравствуйте, Иван Петрович!"),
        (&ivan_uk, Ukrainian, 8, false, "Доброго ранку, Іване Петровичу!"),
        (&ivan_uk, Ukrainian, 14, false, "Доброго дня, Іване Петровичу!"),
        (&ivan_uk, Ukrainian, 20, false, "Доброго вечора, Іване Петровичу!"),
        (&ivan_uk, Ukrainian, 14, true, "І знову вітаємо, Іване Петровичу!"),
        (&ivan_en, English, 8, false, "Good morning, Ivan!"),
        (&ivan_en, English, 14, false, "Good afternoon, Ivan!"),
        (&ivan_en, English, 20, false, "Good evening, Ivan!"),
        (&ivan_en, English, 14, true, "Welcome back, Ivan!"),
    ] {
        assert_eq!(greet(name, language, hour, again), said);
    }
}

#[test]
fn nobody_is_bidden_farewell_at_night() {
    for hour in [23, 0, 3, 4] {
        assert_eq!(greet(&PersonName::given("Иван"), Russian, hour, false), "Здравствуйте, Иван!");
        assert_eq!(greet(&PersonName::given("Іван"), Ukrainian, hour, false), "Вітаємо, Іване!");
        assert_eq!(greet(&PersonName::given("Ivan"), English, hour, false), "Hello, Ivan!");
    }
}

#[test]
fn the_parts_of_the_day_begin_on_their_hour() {
    let usual = DayHours::default();
    for (hour, part) in [
        (4, PartOfDay::Night),
        (5, PartOfDay::Morning),
        (11, PartOfDay::Morning),
        (12, PartOfDay::Day),
        (17, PartOfDay::Day),
        (18, PartOfDay::Evening),
        (22, PartOfDay::Evening),
        (23, PartOfDay::Night),
    ] {
        assert_eq!(usual.part_at(hour), part, "{hour}");
    }
    let late = DayHours { night_from: 24, ..usual };
    assert_eq!(late.part_at(23), PartOfDay::Evening);
}

#[test]
fn the_customer_is_addressed_as_they_asked() {
    let mut ivan = full("Иван", "Петрович");
    ivan.family = Some("Иванов".to_owned());
    ivan.gender = Some(Gender::Masculine);
    ivan.form = FormOfAddress::Given;
    assert_eq!(address(&ivan, Russian), "Иван");
    ivan.form = FormOfAddress::TitleFamily;
    assert_eq!(address(&ivan, Russian), "господин Иванов");
    assert_eq!(address(&titled("Иванова", Gender::Feminine), Russian), "госпожа Иванова");
    assert_eq!(address(&titled("Smith", Gender::Masculine), English), "Mr Smith");
    assert_eq!(address(&titled("Smith", Gender::Feminine), English), "Ms Smith");
}

#[test]
fn a_title_without_a_gender_is_left_out_rather_than_guessed() {
    let mut sasha = titled("Шевченко", Gender::Feminine);
    sasha.given = "Саша".to_owned();
    sasha.gender = None;
    assert_eq!(address(&sasha, Russian), "Саша");
    sasha.patronymic = Some("Ивановна".to_owned());
    assert_eq!(address(&sasha, Russian), "госпожа Шевченко");
}

#[test]
fn a_ukrainian_given_name_takes_the_vocative() {
    for (nominative, vocative) in [
        // Hard stems.
        ("Іван", "Іване"),
        ("Степан", "Степане"),
        ("Богдан", "Богдане"),
        ("Ярослав", "Ярославе"),
        ("Олександр", "Олександре"),
        ("Володимир", "Володимире"),
        ("Віктор", "Вікторе"),
        ("Назар", "Назаре"),
        ("Макар", "Макаре"),
        ("Єгор", "Єгоре"),
        ("Артур", "Артуре"),
        ("Максим", "Максиме"),
        ("Роман", "Романе"),
        ("Тарас", "Тарасе"),
        ("Остап", "Остапе"),
        ("Леонід", "Леоніде"),
        ("Гліб", "Глібе"),
        ("Лев", "Леве"),
        ("Пилип", "Пилипе"),
        ("Йосип", "Йосипе"),
        ("В’ячеслав", "В’ячеславе"),
        ("В'ячеслав", "В'ячеславе"),
        // Soft stems.
        ("Андрій", "Андрію"),
        ("Сергій", "Сергію"),
        ("Олексій", "Олексію"),
        ("Юрій", "Юрію"),
        ("Геннадій", "Геннадію"),
        ("Микола", "Миколо"),
        ("Миколай", "Миколаю"),
        ("Мойсей", "Мойсею"),
        ("Василь", "Василю"),
        ("Лесь", "Лесю"),
        ("Ігор", "Ігорю"),
        ("Лазар", "Лазарю"),
        // Stems in г, к, х and in a hushing consonant.
        ("Олег", "Олеже"),
        ("Марк", "Марку"),
        ("Людвіг", "Людвігу"),
        ("Фрідріх", "Фрідріху"),
        ("Жак", "Жаку"),
        ("Лукаш", "Лукаше"),
        ("Тиміш", "Тимоше"),
        // «і» that opens into «о».
        ("Яків", "Якове"),
        ("Федір", "Федоре"),
        ("Антін", "Антоне"),
        ("Прокіп", "Прокопе"),
        ("Сидір", "Сидоре"),
        ("Никифір", "Никифоре"),
        // Men's names in a vowel.
        ("Павло", "Павле"),
        ("Петро", "Петре"),
        ("Дмитро", "Дмитре"),
        ("Михайло", "Михайле"),
        ("Данило", "Даниле"),
        ("Кирило", "Кириле"),
        ("Марко", "Марку"),
        ("Юрко", "Юрку"),
        ("Левко", "Левку"),
        ("Сашко", "Сашку"),
        ("Ілля", "Ілле"),
        ("Лука", "Луко"),
        ("Кузьма", "Кузьмо"),
        ("Микита", "Микито"),
        ("Хома", "Хомо"),
        ("Сава", "Саво"),
        // Women's names.
        ("Олена", "Олено"),
        ("Катерина", "Катерино"),
        ("Ольга", "Ольго"),
        ("Іванна", "Іванно"),
        ("Тетяна", "Тетяно"),
        ("Ірина", "Ірино"),
        ("Людмила", "Людмило"),
        ("Марія", "Маріє"),
        ("Наталія", "Наталіє"),
        ("Соломія", "Соломіє"),
        ("Юлія", "Юліє"),
        ("Надія", "Надіє"),
        ("Зоя", "Зоє"),
        ("Майя", "Майє"),
        ("Наталя", "Наталю"),
        ("Юля", "Юлю"),
        ("Леся", "Лесю"),
        ("Оля", "Олю"),
        ("Галя", "Галю"),
        ("Мотря", "Мотре"),
        ("Настя", "Насте"),
        ("Мар’я", "Мар’є"),
        ("Уляна", "Уляно"),
        ("Любов", "Любове"),
        ("Нінель", "Нінеле"),
        ("Ніколь", "Ніколе"),
        // Compounds, part by part.
        ("Анна-Марія", "Анно-Маріє"),
        ("Анна Марія", "Анно Маріє"),
        ("Жан-Жак", "Жан-Жаку"),
        // Names that do not decline.
        ("Мері", "Мері"),
        ("Джо", "Джо"),
        ("Хосе", "Хосе"),
        ("Отто", "Отто"),
        ("Енріко", "Енріко"),
        ("Кармен", "Кармен"),
        // In capitals, as some registers keep them.
        ("ІВАН", "ІВАНЕ"),
        ("МАРІЯ", "МАРІЄ"),
    ] {
        assert_eq!(address(&PersonName::given(nominative), Ukrainian), vocative, "of {nominative}");
    }
}

#[test]
fn the_gender_on_record_decides_where_the_ending_does_not() {
    assert_eq!(address(&with_gender("Мішель", Gender::Feminine), Ukrainian), "Мішеле");
    assert_eq!(address(&with_gender("Мішель", Gender::Masculine), Ukrainian), "Мішелю");
    assert_eq!(address(&with_gender("Даніель", Gender::Masculine), Ukrainian), "Даніелю");
    assert_eq!(address(&with_gender("Ірен", Gender::Feminine), Ukrainian), "Ірен");
    assert_eq!(address(&with_gender("Маріко", Gender::Feminine), Ukrainian), "Маріко");
    // A patronymic shows it as well.
    assert_eq!(address(&full("Айлін", "Іванівна"), Ukrainian), "Айлін Іванівно");
}

#[test]
fn a_ukrainian_patronymic_takes_the_vocative_with_the_name() {
    for (given, patronymic, vocative) in [
        ("Іван", "Петрович", "Іване Петровичу"),
        ("Ілля", "Ілліч", "Ілле Іллічу"),
        ("Сергій", "Андрійович", "Сергію Андрійовичу"),
        ("Олег", "Ігорьович", "Олеже Ігорьовичу"),
        ("Микола", "Лукич", "Миколо Лукичу"),
        ("Олена", "Іванівна", "Олено Іванівно"),
        ("Марія", "Сергіївна", "Маріє Сергіївно"),
        ("Любов", "Яківна", "Любове Яківно"),
        ("Мері", "Іванівна", "Мері Іванівно"),
    ] {
        assert_eq!(address(&full(given, patronymic), Ukrainian), vocative);
    }
}

#[test]
fn a_name_that_is_not_certainly_ukrainian_is_left_alone() {
    for name in [
        "Наталья",
        "Сергей",
        "Пётр",
        "Эдуард",
        "Татьяна",
        "Ирина",
        "Игорь",
        "Дмитрий",
        "Мария",
        "Елена",
        "Николай",
        "Михаил",
        "Любовь",
        "Алексей",
        "Светлана",
        "Диана",
        "Юлия",
        "John",
        "Zoë",
        "Іvan",
        "Ива\u{301}н",
        "Саша",
        "李",
    ] {
        assert_eq!(address(&PersonName::given(name), Ukrainian), name);
    }
}

#[test]
fn one_part_in_doubt_leaves_the_whole_name_in_the_nominative() {
    assert_eq!(address(&full("Сергей", "Петрович"), Ukrainian), "Сергей Петрович");
    assert_eq!(address(&full("Антон", "Сергеевич"), Ukrainian), "Антон Сергеевич");
    assert_eq!(address(&full("Галина", "Ивановна"), Ukrainian), "Галина Ивановна");
    assert_eq!(address(&full("Рустам", "Мамед огли"), Ukrainian), "Рустам Мамед огли");
    assert_eq!(address(&PersonName::given("Анна-Елена"), Ukrainian), "Анна-Елена");
}

#[test]
fn a_ukrainian_surname_is_inflected_only_where_it_is_certain() {
    for (family, said) in [
        ("Шевченко", "пане Шевченку"),
        ("Петренко", "пане Петренку"),
        ("Ковальчук", "пане Ковальчуку"),
        ("Мельник", "пане Мельнику"),
        ("Коваль", "пане Ковалю"),
        ("Гоголь", "пане Гоголю"),
        ("Нечай", "пане Нечаю"),
        ("Притула", "пане Притуло"),
        ("Сорока", "пане Сороко"),
        ("Гаркуша", "пане Гаркуше"),
        ("Гмиря", "пане Гмире"),
        ("Драй-Хмара", "пане Драй-Хмаро"),
        ("Бондарчук", "пане Бондарчуку"),
        ("Гнат", "пане Гнате"),
        // Both forms are right, or the spelling does not tell.
        ("Іванов", "пане Іванов"),
        ("Зеленський", "пане Зеленський"),
        ("Романишин", "пане Романишин"),
        ("Чорних", "пане Чорних"),
        ("Гончар", "пане Гончар"),
        ("Кравець", "пане Кравець"),
        ("Лебідь", "пане Лебідь"),
        ("Орел", "пане Орел"),
        ("Дюма", "пане Дюма"),
        ("Smith", "пане Smith"),
        ("Дзержинскый", "пане Дзержинскый"),
    ] {
        assert_eq!(address(&titled(family, Gender::Masculine), Ukrainian), said);
    }
    for family in ["Шевченко", "Ковальчук", "Молода", "Іванова", "Зеленська"] {
        assert_eq!(address(&titled(family, Gender::Feminine), Ukrainian), format!("пані {family}"));
    }
}

#[test]
fn a_name_keeps_its_script_in_every_language() {
    let john = PersonName::given("John");
    assert_eq!(greet(&john, Russian, 9, false), "Доброе утро, John!");
    assert_eq!(greet(&john, Ukrainian, 9, false), "Доброго ранку, John!");
    assert_eq!(greet(&PersonName::given("Иван"), English, 9, true), "Welcome back, Иван!");
}

fn any_name() -> impl Strategy<Value = PersonName> {
    let part = || prop_oneof![".{0,12}", "[А-ЩЬЮЯЄІЇҐа-щьюяєіїґыэёъ'’ -]{0,12}", "[А-Я][а-я]{1,8}"];
    let gender = prop_oneof![Just(None), Just(Some(Gender::Feminine)), Just(Some(Gender::Masculine))];
    let form =
        prop_oneof![Just(FormOfAddress::GivenPatronymic), Just(FormOfAddress::Given), Just(FormOfAddress::TitleFamily)];
    (part(), proptest::option::of(part()), proptest::option::of(part()), gender, form).prop_map(
        |(given, patronymic, family, gender, form)| PersonName {
            given,
            patronymic,
            family,
            gender,
            form,
            spoken: None,
        },
    )
}

fn any_language() -> impl Strategy<Value = Language> {
    prop_oneof![Just(Russian), Just(Ukrainian), Just(English)]
}

proptest! {
    #[test]
    fn any_name_at_any_hour_is_greeted(
        name in any_name(), language in any_language(), hour in any::<u8>(), again in any::<bool>()
    ) {
        let said = greet(&name, language, hour, again);
        prop_assert!(said.ends_with('!') && said.chars().count() > 3);
        prop_assert!(!said.ends_with(", !"));
    }

    #[test]
    fn what_the_customer_asked_to_be_called_always_wins(
        name in any_name(), spoken in "[^\\s\\p{C}]{1,20}", language in any_language(), again in any::<bool>()
    ) {
        let name = PersonName { spoken: Some(spoken.clone()), ..name };
        let ending = format!(", {spoken}!");
        prop_assert!(greet_at(&name, language, PartOfDay::Day, again).ends_with(&ending));
    }

    #[test]
    fn a_vocative_keeps_the_beginning_of_the_name(given in "[А-ЩЮЯЄІЇҐ][а-щьюяєіїґ]{3,10}") {
        let vocative = address(&PersonName::given(&given), Ukrainian);
        let stem: String = given.chars().take(given.chars().count() - 2).collect();
        prop_assert!(vocative.starts_with(&stem), "{given} -> {vocative}");
    }
}
