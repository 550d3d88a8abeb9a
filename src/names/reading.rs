//! Which word of a name is the given name, which the patronymic, which the family, and how two such readings compare.

use super::given::{self, Same};
use super::kin::{self, Like};
use super::sound::{Script, begins};
use super::written::{Field, Token, Words};
use super::{Agreement, Why};
use crate::customer::Gender;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Given,
    Patronymic,
    Family,
}
use Role::{Family as F, Given as G, Patronymic as P};

/// The orders in which people write a name, with what speaks against each.
const ORDERS: [(&[Role], i32); 12] = [
    (&[G], 0),
    (&[P], 0),
    (&[F], 0),
    (&[G, P], 0),
    (&[G, F], 0),
    (&[F, G], 0),
    (&[P, G], 2),
    (&[G, P, F], 0),
    (&[F, G, P], 0),
    (&[F, P, G], 1),
    (&[G, F, P], 1),
    (&[P, G, F], 1),
];

/// A name with its parts told apart.
#[derive(Clone, Copy, Default)]
pub(super) struct Reading<'a> {
    pub given: Option<&'a Token>,
    pub patronymic: Option<&'a Token>,
    pub family: Option<&'a Token>,
    /// What the customer told, which no ending outweighs.
    told: Option<Gender>,
}

/// The readings of a name that are about equally likely.
pub(super) fn readings(words: &Words, told: Option<Gender>) -> Result<Vec<Reading<'_>>, Why> {
    if let Some(fault) = words.fault {
        return Err(fault);
    }
    let tokens = &words.tokens;
    let of_one_field = |a: &Token, b: &Token| a.field == b.field || !(a.is_alone && b.is_alone);
    let sexes: Vec<(&Token, Gender)> = tokens
        .iter()
        .filter(|token| !token.is_initial && token.patronymic.is_none())
        .filter_map(|token| Some((token, given::gender(&token.word)?)))
        .collect();
    if sexes.iter().any(|(a, first)| sexes.iter().any(|(b, second)| first != second && of_one_field(a, b))) {
        return Err(Why::SeveralNames);
    }
    let orders = ORDERS.iter().filter(|(roles, _)| roles.len() == tokens.len());
    let scored = orders.map(|(roles, penalty)| {
        let scores = tokens.iter().zip(*roles).map(|(token, role)| likelihood(token, *role, roles));
        (scores.sum::<i32>() - penalty, *roles)
    });
    let scored: Vec<(i32, &[Role])> = scored.collect();
    let best = scored.iter().map(|(score, _)| *score).max().ok_or(Why::Unreadable)?;
    let likely = scored.iter().filter(|(score, _)| *score + 1 >= best);
    Ok(likely.map(|(_, roles)| Reading::of(tokens, roles, told)).collect())
}

/// What speaks for a word in a role, less what speaks against it.
fn likelihood(token: &Token, role: Role, roles: &[Role]) -> i32 {
    let is_ours = token.is_alone
        && matches!((token.field, role), (Field::Given, G) | (Field::Patronymic, P) | (Field::Family, F));
    let told = if is_ours { 2 } else { 0 };
    if token.is_initial {
        return told + if role == F { if roles.len() == 2 { 0 } else { -2 } } else { 1 };
    }
    // A father that the table knows makes a patronymic of what may be a family too.
    let fathered = token.patronymic.as_ref().map(|p| (p.gender, !given::fathers(&p.stem).is_empty()));
    told + match (role, fathered) {
        (G, Some((Gender::Feminine, _))) => -4,
        (G, Some(_)) => -2,
        (G, None) if given::is_known(&token.word) => 3,
        (G, None) if kin::is_family(&token.word) => -2,
        (G, None) => 0,
        (P, Some((Gender::Feminine, _))) => 3,
        (P, Some((Gender::Masculine, true))) => 2,
        (P, Some((Gender::Masculine, false))) => 0,
        // A middle name.
        (P, None) if roles == [G, P, F] || token.field == Field::Patronymic => -2,
        (P, None) => -9,
        (F, Some((Gender::Feminine, _))) => -3,
        (F, Some((Gender::Masculine, true))) => -1,
        (F, Some((Gender::Masculine, false))) => 0,
        (F, None) if given::is_whole(&token.word) => -1,
        (F, None) if kin::is_family(&token.word) => 1,
        (F, None) => 0,
    }
}

impl<'a> Reading<'a> {
    fn of(tokens: &'a [Token], roles: &[Role], told: Option<Gender>) -> Self {
        let mut reading = Self { told, ..Self::default() };
        for (token, role) in tokens.iter().zip(roles) {
            match role {
                G => reading.given = Some(token),
                P => reading.patronymic = Some(token),
                F => reading.family = Some(token),
            }
        }
        reading
    }

    /// The gender that the name shows; an error where its parts show both.
    fn gender(&self) -> Result<Option<Gender>, Why> {
        if self.told.is_some() {
            return Ok(self.told);
        }
        let given = self.given.filter(|given| !given.is_initial);
        let by_father = self.patronymic.and_then(|patronymic| patronymic.patronymic.as_ref()).map(|p| p.gender);
        match (by_father, given.and_then(|given| given::gender(&given.word))) {
            (Some(one), Some(other)) if one != other => Err(Why::Gender),
            (None, None) => {
                // A family's form is worth less: it counts where the given name leaves the gender open.
                let is_open = given.is_none_or(|given| given::is_known(&given.word));
                let family = self.family.filter(|family| is_open && !family.is_initial);
                Ok(family.and_then(|family| kin::gender_of_family(&family.word)))
            }
            (by_father, by_name) => Ok(by_father.or(by_name)),
        }
    }
}

/// What became of one part of two names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Absent,
    Same,
    /// A first letter that fits.
    Fits,
    /// Two first letters that are one.
    Initials,
    Open(Why),
    Other,
}

impl Part {
    fn speaks_for(self) -> bool {
        matches!(self, Self::Same | Self::Fits | Self::Initials)
    }
}

/// Whether two readings are of one person, and how many of their parts say so.
pub(super) fn compare(a: &Reading, b: &Reading) -> (Agreement, usize) {
    let (one, other) = match (a.gender(), b.gender()) {
        (Ok(one), Ok(other)) => (one, other),
        (Err(why), _) | (_, Err(why)) => return (Agreement::CannotSay(why), 0),
    };
    if one.zip(other).is_some_and(|(one, other)| one != other) {
        return (Agreement::Disagree(Why::Gender), 0);
    }
    let gender = one.or(other);
    let (given, patronymic, family) = (givens(a, b, gender), patronymics(a, b), families(a, b));
    let evidence = [given, patronymic, family].into_iter().filter(|part| part.speaks_for()).count();
    (judge(given, patronymic, family, gender), evidence)
}

fn judge(given: Part, patronymic: Part, family: Part, gender: Option<Gender>) -> Agreement {
    use Agreement::{Agree, CannotSay, Disagree};
    match (given, patronymic, family) {
        (Part::Other, ..) => Disagree(Why::GivenName),
        (_, Part::Other, _) => Disagree(Why::Patronymic),
        (Part::Absent, ..) => CannotSay(Why::NoName),
        (Part::Open(why), ..) => CannotSay(why),
        // Women change it by marriage.
        (_, _, Part::Other) if gender == Some(Gender::Masculine) => Disagree(Why::Family),
        (_, _, Part::Other) => CannotSay(Why::Family),
        (Part::Same, Part::Same, _) => Agree,
        (Part::Same, Part::Open(_), Part::Same) => Agree,
        (_, Part::Open(why), _) | (_, _, Part::Open(why)) => CannotSay(why),
        (Part::Same, ..) => Agree,
        // One letter is many people's, and a family is its members'; two letters are taken for a name.
        (Part::Fits, patronymic, _) if patronymic.speaks_for() => Agree,
        (_, patronymic, Part::Same) if patronymic.speaks_for() => Agree,
        _ => CannotSay(Why::OnlyInitials),
    }
}

fn givens(a: &Reading, b: &Reading, gender: Option<Gender>) -> Part {
    let Some((a, b)) = a.given.zip(b.given) else { return Part::Absent };
    match (a.is_initial, b.is_initial) {
        (true, true) if begins(&a.word, &b.word) || begins(&b.word, &a.word) => Part::Initials,
        (true, false) if given::has_initial(&b.word, &a.word) => Part::Fits,
        (false, true) if given::has_initial(&a.word, &b.word) => Part::Fits,
        (false, false) => match given::compare(&a.word, &b.word, gender) {
            Same::Yes => Part::Same,
            Same::No => Part::Other,
            Same::Perhaps => Part::Open(Why::GivenName),
            Same::EitherGender => Part::Open(Why::Gender),
            Same::Unknown => Part::Open(Why::UnknownName),
        },
        _ => Part::Other,
    }
}

fn patronymics(a: &Reading, b: &Reading) -> Part {
    let Some((a, b)) = a.patronymic.zip(b.patronymic) else { return Part::Absent };
    let fits = |token: &Token, initial: &Token| {
        let fathers = token.patronymic.as_ref().map_or(&[][..], |patronymic| given::fathers(&patronymic.stem));
        begins(&token.word, &initial.word) || given::have_initial(fathers, &initial.word)
    };
    match (a.is_initial, b.is_initial) {
        (true, true) if begins(&a.word, &b.word) || begins(&b.word, &a.word) => Part::Initials,
        (true, false) if fits(b, a) => Part::Fits,
        (false, true) if fits(a, b) => Part::Fits,
        (false, false) => match (&a.patronymic, &b.patronymic) {
            (Some(a), Some(b)) => match kin::compare_patronymics(a, b) {
                Like::Same => Part::Same,
                Like::Near => Part::Open(Why::Patronymic),
                Like::Other => Part::Other,
            },
            _ if given::compare(&a.word, &b.word, None) == Same::Yes => Part::Same,
            // A middle name is often left out, or another one taken.
            _ => Part::Open(Why::Patronymic),
        },
        _ => Part::Other,
    }
}

fn families(a: &Reading, b: &Reading) -> Part {
    let Some((a, b)) = a.family.zip(b.family) else { return Part::Absent };
    match (a.is_initial, b.is_initial) {
        (true, true) if begins(&a.word, &b.word) || begins(&b.word, &a.word) => Part::Initials,
        (true, false) if begins(&b.word, &a.word) => Part::Fits,
        (false, true) if begins(&a.word, &b.word) => Part::Fits,
        (false, false) => match kin::compare_families(&a.word, &b.word) {
            Like::Same => Part::Same,
            Like::Near => Part::Open(Why::Family),
            Like::Other if a.word.script == Script::Other || b.word.script == Script::Other => Part::Open(Why::Family),
            Like::Other => Part::Other,
        },
        _ => Part::Other,
    }
}
