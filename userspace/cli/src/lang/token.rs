// SPDX-License-Identifier: GPL-2.0

//! From characters to tokens.

use std::iter::Peekable;
use std::str::CharIndices;

use super::Mistake;

/// The smallest things that mean something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    Name(String),
    Number(u64),
    Text(Vec<u8>),
    /// `$` and what it refers to.
    Result(Reference),
    /// A comparison: `<`, `<=`, `==` or `!=`.
    Compare(&'static str),
    Mark(char),
    NewLine,
    End,
}

/// What a `$` refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    Index(usize),
    Name(String),
}

impl Token {
    /// For messages.
    pub fn describe(&self) -> String {
        match self {
            Self::Name(name) => format!("`{name}`"),
            Self::Number(number) => format!("`{number}`"),
            Self::Text(_) => "a text".into(),
            Self::Result(_) => "a result".into(),
            Self::Compare(text) => format!("`{text}`"),
            Self::Mark(mark) => format!("`{mark}`"),
            Self::NewLine => "the end of the line".into(),
            Self::End => "the end".into(),
        }
    }
}

/// A token and where it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    pub token: Token,
    pub at: usize,
}

/// All tokens of a source, with an [`Token::End`] behind them.
pub fn tokens(source: &str) -> Result<Vec<Located>, Mistake> {
    let mut scanner = Scanner {
        source,
        chars: source.char_indices().peekable(),
        depth: 0,
    };
    let mut tokens = Vec::new();
    loop {
        let (at, token) = scanner.next()?;
        let end = token == Token::End;
        tokens.push(Located { token, at });
        if end {
            return Ok(tokens);
        }
    }
}

struct Scanner<'a> {
    source: &'a str,
    chars: Peekable<CharIndices<'a>>,
    /// How many brackets are open: within them a line may be broken.
    depth: usize,
}

impl Scanner<'_> {
    fn next(&mut self) -> Result<(usize, Token), Mistake> {
        loop {
            let Some(&(at, c)) = self.chars.peek() else {
                return Ok((self.source.len(), Token::End));
            };
            let token = match c {
                '\n' if self.depth == 0 => self.mark(Token::NewLine),
                '#' => {
                    while self.chars.next_if(|(_, c)| *c != '\n').is_some() {}
                    continue;
                }
                c if c.is_whitespace() => {
                    self.chars.next();
                    continue;
                }
                '(' | '{' | '[' => {
                    self.depth += 1;
                    self.mark(Token::Mark(c))
                }
                ')' | '}' | ']' => {
                    self.depth = self.depth.saturating_sub(1);
                    self.mark(Token::Mark(c))
                }
                ',' | ';' | '|' | '-' => self.mark(Token::Mark(c)),
                '<' | '=' | '!' => self.comparison(at, c)?,
                '"' => self.text(at)?,
                '$' => self.reference(at)?,
                c if c.is_ascii_digit() => Token::Number(self.number(at)?),
                c if is_name(c) => Token::Name(self.word(at).into()),
                c => return Err(Mistake::new(at, format!("`{c}` means nothing here"))),
            };
            return Ok((at, token));
        }
    }

    /// A token of one character.
    fn mark(&mut self, token: Token) -> Token {
        self.chars.next();
        token
    }

    fn comparison(&mut self, at: usize, first: char) -> Result<Token, Mistake> {
        self.chars.next();
        let equal = self.chars.next_if(|(_, c)| *c == '=').is_some();
        match (first, equal) {
            ('<', false) => Ok(Token::Compare("<")),
            ('<', true) => Ok(Token::Compare("<=")),
            ('=', true) => Ok(Token::Compare("==")),
            ('!', true) => Ok(Token::Compare("!=")),
            ('=', false) => Ok(Token::Mark('=')),
            _ => Err(Mistake::new(at, "`!` needs a `=`")),
        }
    }

    /// Letters, digits and underscores from here on.
    fn word(&mut self, at: usize) -> &str {
        while self.chars.next_if(|(_, c)| is_name(*c)).is_some() {}
        let end = self.chars.peek().map_or(self.source.len(), |(at, _)| *at);
        &self.source[at..end]
    }

    fn number(&mut self, at: usize) -> Result<u64, Mistake> {
        let word = self.word(at).to_owned();
        let (digits, radix) = match word.as_bytes() {
            [b'0', b'x' | b'X', ..] => (&word[2..], 16),
            [b'0', b'o', ..] => (&word[2..], 8),
            // As in C, where modes are written.
            [b'0', _, ..] => (&word[1..], 8),
            _ => (&word[..], 10),
        };
        u64::from_str_radix(digits, radix)
            .map_err(|_| Mistake::new(at, format!("`{word}` is no number of 64 bits")))
    }

    fn reference(&mut self, at: usize) -> Result<Token, Mistake> {
        self.chars.next();
        let start = at + 1;
        let reference = match self.chars.peek() {
            Some((_, c)) if c.is_ascii_digit() => {
                let index = self.number(start)?;
                Reference::Index(usize::try_from(index).unwrap_or(usize::MAX))
            }
            Some((_, c)) if is_name(*c) => Reference::Name(self.word(start).into()),
            _ => {
                let message = "`$` needs the index or the name of an atom";
                return Err(Mistake::new(at, message));
            }
        };
        Ok(Token::Result(reference))
    }

    fn text(&mut self, at: usize) -> Result<Token, Mistake> {
        self.chars.next();
        let mut bytes = Vec::new();
        loop {
            match self.chars.next() {
                None | Some((_, '\n')) => return Err(Mistake::new(at, "the text has no end")),
                Some((_, '"')) => return Ok(Token::Text(bytes)),
                Some((at, '\\')) => bytes.push(self.escape(at)?),
                Some((_, c)) => bytes.extend(c.encode_utf8(&mut [0; 4]).bytes()),
            }
        }
    }

    fn escape(&mut self, at: usize) -> Result<u8, Mistake> {
        let unknown = || Mistake::new(at, r#"only \n, \t, \r, \0, \\, \" and \xHH are known"#);
        match self.chars.next().map(|(_, c)| c) {
            Some('n') => Ok(b'\n'),
            Some('t') => Ok(b'\t'),
            Some('r') => Ok(b'\r'),
            Some('0') => Ok(0),
            Some('\\') => Ok(b'\\'),
            Some('"') => Ok(b'"'),
            Some('x') => {
                let mut value = 0;
                for _ in 0..2 {
                    let digit = self.chars.next().and_then(|(_, c)| c.to_digit(16));
                    value = value * 16 + digit.ok_or_else(unknown)?;
                }
                u8::try_from(value).map_err(|_| unknown())
            }
            _ => Err(unknown()),
        }
    }
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}
