// SPDX-License-Identifier: GPL-2.0

//! From tokens to programs.

use syslet::policy::{self, Abi};
use syslet::{uapi, Stop};

use super::constants;
use super::token::{tokens, Located, Reference, Token};
use super::Mistake;

/// How many arguments a system call has.
const ARGS: usize = 6;

/// The largest buffer: enough for anything that is looked at afterwards.
const MAX_BUFFER: u64 = 64 << 20;

/// A program as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    pub atoms: Vec<Atom>,
    /// Every buffer that it declares.
    pub buffers: Vec<BufferDecl>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Atom {
    pub name: String,
    pub nr: u32,
    pub args: Vec<Arg>,
    pub condition: Condition,
    /// Where it is written.
    pub at: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arg {
    Value(u64),
    Text(Vec<u8>),
    Words(Vec<u64>),
    /// A buffer, by its place in [`Source::buffers`].
    Buffer(usize),
    /// The result of an atom, by its index.
    Result(usize),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BufferDecl {
    pub name: String,
    pub len: usize,
    /// The atom that it was declared in.
    pub atom: usize,
}

/// What an atom does with its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    StopIf(Stop),
    SkipIf(Stop, u8),
    CarryOn,
}

/// Reads all programs of a source.
pub fn parse(source: &str) -> Result<Vec<Source>, Mistake> {
    let mut parser = Parser {
        tokens: tokens(source)?,
        next: 0,
        names: Vec::new(),
        program: Source::default(),
    };
    let mut programs = Vec::new();
    loop {
        while parser.eat(&Token::NewLine) {}
        if parser.eat(&Token::End) {
            return Ok(programs);
        }
        programs.push(parser.program()?);
    }
}

/// The number of a call of this name.
fn number(name: &str) -> Option<u32> {
    if name == "umem_add" {
        return Some(uapi::NR_UMEM_ADD);
    }
    let mut lines = policy::parts(Abi::X86_64).into_iter().flatten();
    let line = lines.find(|line| line.name == name)?;
    Some(line.nr.into())
}

struct Parser {
    tokens: Vec<Located>,
    next: usize,
    /// Names of atoms of the present program, with their indices.
    names: Vec<(String, usize)>,
    program: Source,
}

impl Parser {
    fn peek(&self) -> &Located {
        // The last one is `End`, and nothing goes beyond it.
        &self.tokens[self.next.min(self.tokens.len() - 1)]
    }

    fn take(&mut self) -> Located {
        let located = self.peek().clone();
        self.next += 1;
        located
    }

    fn eat(&mut self, token: &Token) -> bool {
        let found = self.peek().token == *token;
        self.next += usize::from(found);
        found
    }

    fn eat_word(&mut self, word: &str) -> bool {
        self.eat(&Token::Name(word.into()))
    }

    /// A mistake at the next token.
    fn wanted<T>(&self, what: &str) -> Result<T, Mistake> {
        let Located { token, at } = self.peek();
        let found = token.describe();
        Err(Mistake::new(*at, format!("{what} is wanted, not {found}")))
    }

    fn expect(&mut self, mark: char) -> Result<(), Mistake> {
        if self.eat(&Token::Mark(mark)) {
            return Ok(());
        }
        self.wanted(&format!("`{mark}`"))
    }

    fn program(&mut self) -> Result<Source, Mistake> {
        self.names.clear();
        self.program = Source::default();
        loop {
            let atom = self.atom()?;
            if self.program.atoms.len() == uapi::MAX_ATOMS {
                let most = uapi::MAX_ATOMS;
                let message = format!("a program has at most {most} atoms");
                return Err(Mistake::new(atom.at, message));
            }
            self.program.atoms.push(atom);
            let more = self.eat(&Token::Mark(';'));
            match self.peek().token {
                Token::NewLine | Token::End => break,
                _ if more => {}
                _ => return self.wanted("`;`, a condition or the end of the line"),
            }
        }
        self.check_skips()?;
        Ok(std::mem::take(&mut self.program))
    }

    fn check_skips(&self) -> Result<(), Mistake> {
        let atoms = &self.program.atoms;
        for (left, atom) in atoms.iter().rev().enumerate() {
            match atom.condition {
                Condition::SkipIf(_, skip) if usize::from(skip) > left => {
                    let message = format!("skips {skip} atoms, but only {left} are behind it");
                    return Err(Mistake::new(atom.at, message));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn atom(&mut self) -> Result<Atom, Mistake> {
        let labeled = matches!(
            self.tokens.get(self.next..self.next + 2),
            Some([
                Located {
                    token: Token::Name(_),
                    ..
                },
                Located {
                    token: Token::Mark('='),
                    ..
                }
            ])
        );
        if labeled {
            let Located { token, at } = self.take();
            self.take();
            if let Token::Name(name) = token {
                if self.find_name(&name).is_some() {
                    let message = format!("there is an atom named `{name}` already");
                    return Err(Mistake::new(at, message));
                }
                self.names.push((name, self.program.atoms.len()));
            }
        }
        let Located { token, at } = self.peek().clone();
        let (name, nr) = match token {
            Token::Name(name) => match number(&name) {
                Some(nr) => (name, nr),
                None => {
                    return Err(Mistake::new(
                        at,
                        format!("no system call is named `{name}`"),
                    ))
                }
            },
            Token::Number(nr) => match u32::try_from(nr) {
                Ok(nr) => (format!("call {nr}"), nr),
                Err(_) => return Err(Mistake::new(at, "no system call has this number")),
            },
            _ => return self.wanted("a system call"),
        };
        self.take();
        let args = self.arguments()?;
        let condition = self.condition(nr)?;
        Ok(Atom {
            name,
            nr,
            args,
            condition,
            at,
        })
    }

    fn find_name(&self, name: &str) -> Option<usize> {
        let found = self.names.iter().find(|(known, _)| known == name)?;
        Some(found.1)
    }

    fn arguments(&mut self) -> Result<Vec<Arg>, Mistake> {
        self.expect('(')?;
        let mut args = Vec::new();
        if self.eat(&Token::Mark(')')) {
            return Ok(args);
        }
        loop {
            if args.len() == ARGS {
                let at = self.peek().at;
                let message = format!("a system call has at most {ARGS} arguments");
                return Err(Mistake::new(at, message));
            }
            args.push(self.argument()?);
            if self.eat(&Token::Mark(')')) {
                return Ok(args);
            }
            if !self.eat(&Token::Mark(',')) {
                return self.wanted("`,` or `)`");
            }
        }
    }

    fn argument(&mut self) -> Result<Arg, Mistake> {
        let at = self.peek().at;
        let first = self.term()?;
        if self.peek().token != Token::Mark('|') {
            return Ok(first);
        }
        let Arg::Value(mut value) = first else {
            return Err(Mistake::new(at, "only numbers can be joined by `|`"));
        };
        while self.eat(&Token::Mark('|')) {
            let at = self.peek().at;
            match self.term()? {
                Arg::Value(more) => value |= more,
                _ => return Err(Mistake::new(at, "only numbers can be joined by `|`")),
            }
        }
        Ok(Arg::Value(value))
    }

    fn term(&mut self) -> Result<Arg, Mistake> {
        let Located { token, at } = self.peek().clone();
        match token {
            Token::Number(_) | Token::Mark('-') => self.integer().map(Arg::Value),
            Token::Text(text) => {
                self.take();
                Ok(Arg::Text(text))
            }
            Token::Result(reference) => {
                self.take();
                self.result(&reference, at).map(Arg::Result)
            }
            Token::Mark('{') => self.words().map(Arg::Words),
            Token::Name(name) => {
                self.take();
                self.name(name, at)
            }
            _ => self.wanted("an argument"),
        }
    }

    fn integer(&mut self) -> Result<u64, Mistake> {
        let negative = self.eat(&Token::Mark('-'));
        match self.peek().token {
            Token::Number(value) => {
                self.take();
                Ok(if negative {
                    value.wrapping_neg()
                } else {
                    value
                })
            }
            _ => self.wanted("a number"),
        }
    }

    fn words(&mut self) -> Result<Vec<u64>, Mistake> {
        self.expect('{')?;
        let mut words = Vec::new();
        if self.eat(&Token::Mark('}')) {
            return Ok(words);
        }
        loop {
            words.push(self.integer()?);
            if self.eat(&Token::Mark('}')) {
                return Ok(words);
            }
            if !self.eat(&Token::Mark(',')) {
                return self.wanted("`,` or `}`");
            }
        }
    }

    /// The index of the atom that a `$` refers to.
    fn result(&self, reference: &Reference, at: usize) -> Result<usize, Mistake> {
        let before = self.program.atoms.len();
        let index = match reference {
            Reference::Index(index) => Some(*index),
            Reference::Name(name) => self.find_name(name),
        };
        match (index, reference) {
            (Some(index), _) if index < before => Ok(index),
            (_, Reference::Name(name)) => {
                let message = format!("no atom before this one is named `{name}`");
                Err(Mistake::new(at, message))
            }
            _ => {
                let message =
                    format!("atoms are counted from 0, and only {before} are before this one");
                Err(Mistake::new(at, message))
            }
        }
    }

    /// A new buffer, one that is known, or a constant.
    fn name(&mut self, name: String, at: usize) -> Result<Arg, Mistake> {
        if self.eat(&Token::Mark('[')) {
            let at = self.peek().at;
            let len = self.integer()?;
            self.expect(']')?;
            if !(1..=MAX_BUFFER).contains(&len) {
                let message = format!("a buffer has 1 to {MAX_BUFFER} bytes");
                return Err(Mistake::new(at, message));
            }
            self.program.buffers.push(BufferDecl {
                name,
                len: usize::try_from(len).unwrap_or(usize::MAX),
                atom: self.program.atoms.len(),
            });
            return Ok(Arg::Buffer(self.program.buffers.len() - 1));
        }
        let mut buffers = self.program.buffers.iter();
        if let Some(known) = buffers.rposition(|buffer| buffer.name == name) {
            return Ok(Arg::Buffer(known));
        }
        if let Some(value) = constants::value(&name) {
            return Ok(Arg::Value(value));
        }
        let guess = constants::near(&name).map(|near| format!("; is it `{near}`?"));
        let guess = guess.unwrap_or_default();
        let message = format!("`{name}` is neither a constant nor a buffer{guess}");
        Err(Mistake::new(at, message))
    }

    fn condition(&mut self, nr: u32) -> Result<Condition, Mistake> {
        if self.eat_word("stop") {
            return self.test().map(Condition::StopIf);
        }
        if self.eat_word("carry") {
            if self.eat_word("on") {
                return Ok(Condition::CarryOn);
            }
            return self.wanted("`on`");
        }
        if self.eat_word("skip") {
            let at = self.peek().at;
            let count = self.integer()?;
            return match u8::try_from(count) {
                Ok(count) if count > 0 => Ok(Condition::SkipIf(self.test()?, count)),
                _ => Err(Mistake::new(at, "1 to 63 atoms can be skipped")),
            };
        }
        // A sum is no failure.
        Ok(if nr == uapi::NR_UMEM_ADD {
            Condition::CarryOn
        } else {
            Condition::StopIf(Stop::NEGATIVE)
        })
    }

    fn test(&mut self) -> Result<Stop, Mistake> {
        if !self.eat_word("if") {
            return self.wanted("`if`");
        }
        let stop = match self.peek().token {
            Token::Compare("<") => Stop::NEGATIVE,
            Token::Compare("<=") => Stop::NON_POSITIVE,
            Token::Compare("==") => Stop::ZERO,
            Token::Compare(_) => Stop::NONZERO,
            _ => return self.wanted("`<`, `<=`, `==` or `!=`"),
        };
        self.take();
        if self.eat(&Token::Number(0)) {
            Ok(stop)
        } else {
            self.wanted("`0`")
        }
    }
}
