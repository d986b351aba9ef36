//! What the head of a program says: <https://refspecs.linuxfoundation.org/elf/elf.pdf>.

fn number(bytes: &[u8], at: usize, size: usize) -> usize {
    bytes[at..at + size].iter().rev().fold(0, |value, byte| value << 8 | usize::from(*byte))
}

/// The machine that runs it.
pub(crate) fn machine(program: &[u8]) -> u16 {
    assert_eq!(&program[..6], b"\x7fELF\x02\x01", "a program of 64 bits, little end first");
    u16::try_from(number(program, 18, 2)).unwrap()
}

/// Whether no other file is needed to start it: it names no interpreter.
pub(crate) fn is_static(program: &[u8]) -> bool {
    let (headers, size, count) = (number(program, 32, 8), number(program, 54, 2), number(program, 56, 2));
    assert_ne!(count, 0);
    (0..count).all(|header| number(program, headers + header * size, 4) != 3)
}

/// The content of a section.
pub(crate) fn section<'a>(program: &'a [u8], name: &str) -> &'a [u8] {
    let (sections, size) = (number(program, 40, 8), number(program, 58, 2));
    let (count, names) = (number(program, 60, 2), number(program, 62, 2));
    let place = |section: usize| {
        let header = sections + section * size;
        let start = number(program, header + 24, 8);
        &program[start..start + number(program, header + 32, 8)]
    };
    let is_named = |section: &usize| {
        let start = number(program, sections + section * size, 4);
        place(names)[start..].strip_prefix(name.as_bytes()).is_some_and(|rest| rest[0] == 0)
    };
    // Section 0 stands for none.
    place((1..count).find(is_named).unwrap_or_else(|| panic!("there is no section {name}")))
}
