//! What an expression names: the variables it may take, the probes that it reads, the functions that it calls.

use std::collections::BTreeSet;

use kube::core::cel::cel::IdedExpr;
use kube::core::cel::cel::Program;
use kube::core::cel::cel::common::ast::{EntryExpr, Expr, LiteralValue, operators};

use crate::cel;

/// The probes that an expression reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reads {
    /// Those that it names.
    pub(super) probes: BTreeSet<String>,
    /// It goes over `probes` itself, so it may read any.
    pub(super) all: bool,
}

impl Reads {
    pub(super) fn of(program: &Program) -> Self {
        let mut reads = Self::default();
        reads.walk(program.expression());
        reads
    }

    pub(super) fn add(&mut self, other: Self) {
        self.probes.extend(other.probes);
        self.all |= other.all;
    }

    fn walk(&mut self, expression: &IdedExpr) {
        let is_probes = |expression: &IdedExpr| matches!(&expression.expr, Expr::Ident(name) if name == "probes");
        match &expression.expr {
            Expr::Select(select) if is_probes(&select.operand) => {
                self.probes.insert(select.field.clone());
            }
            Expr::Call(call) if call.func_name == operators::INDEX && call.args.first().is_some_and(is_probes) => {
                match call.args.get(1).map(|index| &index.expr) {
                    Some(Expr::Literal(LiteralValue::String(name))) => {
                        self.probes.insert(name.inner().to_owned());
                    }
                    Some(_) => {
                        self.all = true;
                        call.args.iter().skip(1).for_each(|argument| self.walk(argument));
                    }
                    None => self.all = true,
                }
            }
            _ if is_probes(expression) => self.all = true,
            _ => children(expression, &mut |child| self.walk(child)),
        }
    }
}

/// Names of functions that an expression calls and that nobody has.
pub(super) fn unknown_functions(program: &Program) -> Vec<String> {
    let mut called = BTreeSet::new();
    calls(program.expression(), &mut called);
    called.into_iter().filter(|name| !exists(name)).collect()
}

fn calls(expression: &IdedExpr, called: &mut BTreeSet<String>) {
    if let Expr::Call(call) = &expression.expr {
        let is_plain =
            call.func_name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !call.func_name.starts_with('_');
        // A name before a dot may be a library's, whose functions are not listed by themselves.
        let is_library = matches!(call.target.as_deref(), Some(IdedExpr { expr: Expr::Ident(_), .. }));
        if is_plain && !is_library {
            called.insert(call.func_name.clone());
        }
    }
    children(expression, &mut |child| calls(child, called));
}

/// Whether there is a function of this name: who calls it with nothing hears that something is missing, and not that there
/// is none.
fn exists(name: &str) -> bool {
    let Ok(program) = cel::compile(&format!("{name}()")) else { return true };
    match cel::evaluate(&program, &cel::context()) {
        Ok(_) => true,
        Err(why) => !why.contains("Undeclared reference"),
    }
}

fn children<'a>(expression: &'a IdedExpr, then: &mut dyn FnMut(&'a IdedExpr)) {
    match &expression.expr {
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).for_each(then),
        Expr::Comprehension(all) => {
            [&all.iter_range, &all.accu_init, &all.loop_cond, &all.loop_step, &all.result].into_iter().for_each(then);
        }
        Expr::List(list) => list.elements.iter().for_each(then),
        Expr::Map(map) => map.entries.iter().for_each(|entry| entry_children(&entry.expr, then)),
        Expr::Struct(all) => all.entries.iter().for_each(|entry| entry_children(&entry.expr, then)),
        Expr::Select(select) => then(&select.operand),
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => {}
    }
}

fn entry_children<'a>(entry: &'a EntryExpr, then: &mut dyn FnMut(&'a IdedExpr)) {
    match entry {
        EntryExpr::StructField(field) => then(&field.value),
        EntryExpr::MapEntry(entry) => {
            then(&entry.key);
            then(&entry.value);
        }
    }
}

/// The name that somebody may have meant.
pub(super) fn near<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let far = |name: &&str| strsim::damerau_levenshtein(wrong, name);
    known.into_iter().min_by_key(far).filter(|name| far(name) <= 2.min(wrong.chars().count() / 2))
}
