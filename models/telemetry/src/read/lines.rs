//! Cuts bytes into lines of bounded length: `\n`, `\r\n` and a lone `\r` each end one.

/// Longer lines are skipped unread; five thousand columns fit.
pub const MAX_LINE_BYTES: usize = 1 << 20;

/// Where lines go, each with its number, counted from 1.
pub type OnLine<'a, E> = dyn FnMut(u64, &[u8]) -> Result<(), E> + 'a;

/// Cuts bytes into lines.
#[derive(Debug, Default)]
pub struct LineCutter {
    pending: Vec<u8>,
    overlong: bool,
    too_long: u64,
    first_too_long: Option<u64>,
    lines: u64,
    /// The last byte was a `\r`: a `\n` behind it belongs to the same end of line.
    after_return: bool,
}

impl LineCutter {
    /// Adds bytes; hands each complete line to `line`, with its number and without its end.
    ///
    /// # Errors
    /// The first error of `line`.
    pub fn push<E>(&mut self, mut bytes: &[u8], line: &mut OnLine<'_, E>) -> Result<(), E> {
        if std::mem::take(&mut self.after_return) && bytes.first() == Some(&b'\n') {
            bytes = &bytes[1..];
        }
        while let Some(end) = bytes.iter().position(|b| matches!(b, b'\n' | b'\r')) {
            let (head, tail) = bytes.split_at(end);
            let is_return = tail[0] == b'\r';
            bytes = &tail[1..];
            if is_return {
                match bytes.first() {
                    Some(b'\n') => bytes = &bytes[1..],
                    Some(_) => {}
                    None => self.after_return = true,
                }
            }
            if self.pending.is_empty() && !self.overlong && head.len() <= MAX_LINE_BYTES {
                self.lines += 1;
                line(self.lines, head)?;
            } else {
                self.keep(head);
                self.finish_line(line)?;
            }
        }
        self.keep(bytes);
        Ok(())
    }

    /// The input is at its end: a last line may lack its newline.
    ///
    /// # Errors
    /// The error of `line`.
    pub fn end<E>(&mut self, line: &mut OnLine<'_, E>) -> Result<(), E> {
        self.after_return = false;
        if self.pending.is_empty() && !self.overlong { Ok(()) } else { self.finish_line(line) }
    }

    fn finish_line<E>(&mut self, line: &mut OnLine<'_, E>) -> Result<(), E> {
        let pending = std::mem::take(&mut self.pending);
        self.lines += 1;
        if std::mem::take(&mut self.overlong) {
            self.too_long += 1;
            self.first_too_long.get_or_insert(self.lines);
            return Ok(());
        }
        if pending.is_empty() { Ok(()) } else { line(self.lines, &pending) }
    }

    /// The number of the first line that was too long since this was last asked.
    pub fn take_first_too_long(&mut self) -> Option<u64> {
        self.first_too_long.take()
    }

    /// Lines that were too long since this was last asked.
    pub fn take_too_long(&mut self) -> u64 {
        std::mem::take(&mut self.too_long)
    }

    /// Another input begins: what is left of a line of the old one is discarded. Answers whether there was any.
    pub fn begin(&mut self) -> bool {
        self.lines = 0;
        self.overlong = false;
        self.after_return = false;
        !std::mem::take(&mut self.pending).is_empty()
    }

    /// Discards a line that has no end yet; answers whether there was any.
    pub fn drop_pending(&mut self) -> bool {
        let was_overlong = std::mem::take(&mut self.overlong);
        !std::mem::take(&mut self.pending).is_empty() || was_overlong
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.overlong {
            return;
        }
        if self.pending.len() + bytes.len() > MAX_LINE_BYTES {
            self.overlong = true;
            self.pending = Vec::new();
        } else {
            self.pending.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_alike_however_the_bytes_arrive() {
        let text = b"one\r\ntwo\n\nthree\rfour\r\rfive";
        let cut = |size: usize| {
            let mut cutter = LineCutter::default();
            let mut found = Vec::new();
            let mut line = |_, l: &[u8]| -> Result<(), ()> {
                found.push(String::from_utf8(l.to_vec()).unwrap());
                Ok(())
            };
            for piece in text.chunks(size) {
                cutter.push(piece, &mut line).unwrap();
            }
            cutter.end(&mut line).unwrap();
            found.retain(|l| !l.is_empty());
            found
        };
        assert_eq!(cut(100), ["one", "two", "three", "four", "five"]);
        assert!((1..20).all(|size| cut(size) == cut(100)));
    }
}
