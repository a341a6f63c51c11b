//! Cuts a stream of JSON into its values: lines, values over several lines, and the elements of an array as they come, so that an
//! array of any length takes the memory of one element.

/// The largest value that is read.
const MAX_VALUE: usize = 32 << 20;

/// Where values go: the line on which each begins, and its text.
pub(super) type OnValue<'a> = dyn FnMut(u64, &[u8]) + 'a;

/// Cuts bytes into JSON values.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    value: Vec<u8>,
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// The outermost array, whose elements are handed on one by one.
    in_array: bool,
    line: u64,
    begun: u64,
    overlong: bool,
    too_long: u64,
    /// The line so far holds nothing that belongs to a value.
    stray: bool,
    strays: u64,
    first_fault: Option<u64>,
}

impl Splitter {
    /// Adds bytes.
    pub(super) fn push(&mut self, bytes: &[u8], whole: &mut OnValue<'_>) {
        for &b in bytes {
            if b == b'\n' {
                self.line += 1;
                // A text does not go over the end of a line: what is open was broken off, and the next line begins anew.
                if self.in_string {
                    self.break_off();
                    continue;
                }
                self.stray = false;
            }
            if self.depth == 0 {
                self.outside(b);
                continue;
            }
            self.keep(b);
            if self.in_string {
                match b {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match b {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        self.finish(whole);
                    }
                }
                _ => {}
            }
        }
    }

    fn outside(&mut self, b: u8) {
        match b {
            b'[' if !self.in_array => self.in_array = true,
            b']' if self.in_array => self.in_array = false,
            b'{' | b'[' => {
                self.value.clear();
                self.overlong = false;
                self.begun = self.line + 1;
                self.depth = 1;
                self.value.push(b);
            }
            b' ' | b'\t' | b'\r' | b'\n' | b',' | 0x1e => {}
            _ => {
                if !std::mem::replace(&mut self.stray, true) {
                    self.strays += 1;
                    self.first_fault.get_or_insert(self.line + 1);
                }
            }
        }
    }

    fn keep(&mut self, b: u8) {
        if self.value.len() >= MAX_VALUE {
            self.overlong = true;
        } else {
            self.value.push(b);
        }
    }

    fn finish(&mut self, whole: &mut OnValue<'_>) {
        if std::mem::take(&mut self.overlong) {
            self.too_long += 1;
            self.first_fault.get_or_insert(self.begun);
            self.value = Vec::new();
            return;
        }
        whole(self.begun, &self.value);
        self.value.clear();
    }

    /// What is open will not be finished.
    fn break_off(&mut self) {
        self.strays += 1;
        self.first_fault.get_or_insert(self.begun);
        (self.depth, self.in_string, self.escaped, self.stray) = (0, false, false, false);
        self.value.clear();
    }

    /// The input is at its end.
    pub(super) fn end(&mut self) {
        if self.depth > 0 {
            self.break_off();
        }
    }

    /// Broken pieces and values that were too long, since this was last asked, and the first line of them.
    pub(super) fn take_faults(&mut self) -> (u64, u64, Option<u64>) {
        (std::mem::take(&mut self.strays), std::mem::take(&mut self.too_long), self.first_fault.take())
    }
}
