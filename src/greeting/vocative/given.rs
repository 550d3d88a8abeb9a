//! The vocative of one given name.

use super::word::Word;
use super::{Form, Gender};

/// Russian forms that Ukrainian spelling allows, so that no other rule notices them.
const RUSSIAN_FORMS: &[&str] = &[
    "александр",
    "александра",
    "алина",
    "ангелина",
    "анжелика",
    "вера",
    "вероника",
    "виктор",
    "вика",
    "виталина",
    "витя",
    "владимир",
    "вячеслав",
    "глеб",
    "дима",
    "ева",
    "евдоким",
    "егор",
    "екатерина",
    "елена",
    "елизавета",
    "ефим",
    "ефрем",
    "зина",
    "камилла",
    "кира",
    "кирилл",
    "лена",
    "леонид",
    "лиза",
    "лика",
    "лина",
    "милена",
    "моника",
    "надежда",
    "ника",
    "никита",
    "николай",
    "нина",
    "нинель",
    "павел",
    "петр",
    "полина",
    "регина",
    "светлана",
    "снежана",
    "филипп",
    "яков",
];

/// Women's names that end in a consonant, for customers whose gender is not on record.
const FEMININE_IN_CONSONANT: &[&str] = &[
    "любов",
    "нінель",
    "адель",
    "айгуль",
    "айсель",
    "асель",
    "анабель",
    "аннабель",
    "габріель",
    "гюзель",
    "даніель",
    "есфір",
    "естер",
    "етель",
    "жізель",
    "ізабель",
    "кармен",
    "марієль",
    "мішель",
    "ніколь",
    "ракель",
    "рахіль",
    "руф",
    "рут",
    "суламіф",
    "сесіль",
    "юдиф",
    "агнес",
    "аліс",
    "астрід",
    "беатріс",
    "елізабет",
    "енн",
    "ірен",
    "інгрід",
    "жаннет",
    "кім",
    "кетрін",
    "маргарет",
    "маріам",
    "мар'ям",
    "мар’ям",
    "маржан",
    "едіт",
    "джейн",
    "джоан",
    "хелен",
    "вівьєн",
];

/// Closed syllables whose «і» opens into «о»: the name and its vocative's ending after `drop` letters.
const ALTERNATING: &[(&str, &str)] = &[
    ("яків", "ове"),
    ("антін", "оне"),
    ("прокіп", "опе"),
    ("федір", "оре"),
    ("сидір", "оре"),
    ("никифір", "оре"),
    ("ничипір", "оре"),
    ("тиміш", "оше"),
    ("григір", "оре"),
    ("прохір", "оре"),
    ("платін", "оне"),
    ("харитін", "оне"),
    ("мирін", "оне"),
    ("самсін", "оне"),
];

pub(super) fn given_part(word: &Word, gender: Option<Gender>) -> Form {
    if word.is_russian_by_spelling() || word.is(RUSSIAN_FORMS) {
        return Form::NotKnown;
    }
    match word.last() {
        'а' | 'я' => first_declension(word),
        'о' => in_o(word, gender),
        'е' | 'є' | 'и' | 'і' | 'ї' | 'у' | 'ю' => Form::Unchanged,
        _ if gender == Some(Gender::Feminine) || (gender.is_none() && word.is(FEMININE_IN_CONSONANT)) => {
            third_declension(word)
        }
        _ => second_declension(word),
    }
}

fn first_declension(word: &Word) -> Form {
    if word.last() == 'а' {
        // The norm gives «-е» to the mixed group, speakers say «Сашо»: neither is certain.
        return if word.ends(&["жа", "ча", "ша", "ща"]) { Form::NotKnown } else { word.with(1, "о") };
    }
    if !word.softens_before_final() {
        return word.with(1, "є");
    }
    // Full names of the soft group take «-е», the familiar ones «-ю» (Наталю, Олю, Лесю).
    let full = word.is(&["ілля", "мотря", "катря", "настя", "зоря", "христя", "устя"]);
    word.with(1, if full { "е" } else { "ю" })
}

fn in_o(word: &Word, gender: Option<Gender>) -> Form {
    if gender == Some(Gender::Feminine) {
        Form::Unchanged
    } else if word.ends(&["ко"]) && !word.ends(&["іко", "око", "ейко", "ско"]) {
        word.with(1, "у")
    } else if word.ends(&["вло", "ило", "йло", "петро", "митро"]) || word.is(&["карло"]) {
        word.with(1, "е")
    } else if word.ends(&["ьо"]) {
        Form::NotKnown
    } else {
        // Джо, Отто, Маріо.
        Form::Unchanged
    }
}

fn second_declension(word: &Word) -> Form {
    if let Some((_, ending)) = ALTERNATING.iter().find(|(name, _)| word.is(&[name])) {
        return word.with(2, ending);
    }
    match word.last() {
        'й' if word.ends(&["ий"]) => Form::NotKnown,
        // Сергей, Андрей, Матвей are Russian; these few are not.
        'й' if word.ends(&["ей"]) && !word.is(&["мойсей", "єлисей", "тадей", "амадей"]) => {
            Form::NotKnown
        }
        'й' => word.with(1, "ю"),
        'ь' if word.ends(&["ець", "ень"]) => Form::NotKnown,
        'ь' => word.with(1, "ю"),
        'р' if word.is(&["ігор", "лазар", "цезар"]) => word.with(0, "ю"),
        'г' if word.is(&["олег"]) => word.with(1, "же"),
        'к' if word.ends(&["ок"]) => Form::NotKnown,
        'г' | 'ґ' | 'к' | 'х' => word.with(0, "у"),
        'щ' => Form::NotKnown,
        _ => word.with(0, "е"),
    }
}

/// Women's names in a consonant: soft ones and «Любов» take «-е», hard ones do not decline.
fn third_declension(word: &Word) -> Form {
    match word.last() {
        'ь' => word.with(1, "е"),
        'в' => word.with(0, "е"),
        _ => Form::Unchanged,
    }
}
