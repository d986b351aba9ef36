//! The blocks of code in the pages of this repository.

/// A fenced block.
#[derive(Debug)]
pub(crate) struct Block {
    /// What follows the opening fence.
    pub(crate) language: String,
    /// The HTML comment in the line before it; empty if there is none.
    pub(crate) note: String,
    /// The lines in it, without the indent of the fence.
    pub(crate) text: String,
}

/// All blocks of a page, in order.
pub(crate) fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    let mut before = "";
    while let Some(line) = lines.next() {
        if let Some((indent, language)) = line.split_once("```") {
            let block = lines.by_ref().take_while(|line| line.trim() != "```");
            let block = block.map(|line| line.strip_prefix(indent).unwrap_or(line).to_owned() + "\n");
            let note = before.strip_prefix("<!-- ").and_then(|note| note.strip_suffix(" -->"));
            let note = note.unwrap_or_default().to_owned();
            blocks.push(Block { language: language.to_owned(), note, text: block.collect() });
        }
        before = line;
    }
    blocks
}
