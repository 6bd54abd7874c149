//! The list of blocks that make up a blob, as sent by Azure clients.

use super::token::decode_block_id;

/// Maximum number of blocks of a blob. Azure's limit.
const MAX_BLOCKS: usize = 50_000;

/// Maximum length of a decoded block id in bytes. Azure's limit.
pub(super) const MAX_BLOCK_ID: usize = 64;

/// Why a list of blocks is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BlockListError {
    #[error("not a list of blocks")]
    Syntax,
    #[error("a block id is not base64, or longer than {MAX_BLOCK_ID} bytes")]
    Id,
    #[error("more than {MAX_BLOCKS} blocks")]
    TooMany,
}

/// Decodes the id of a block.
///
/// # Errors
/// The text is not base64, or the id is empty or too long.
pub(super) fn block_id(text: &str) -> Result<Vec<u8>, BlockListError> {
    let id = decode_block_id(text).filter(|id| (1..=MAX_BLOCK_ID).contains(&id.len()));
    id.ok_or(BlockListError::Id)
}

/// Parses a list of blocks, `<BlockList><Latest>ID</Latest>…</BlockList>`, and returns the decoded ids in their order.
/// `Latest`, `Committed` and `Uncommitted` mean the same here, because a blob is written once.
///
/// # Errors
/// The text is not a valid list, or lists too many blocks.
pub(super) fn parse(text: &str) -> Result<Vec<Vec<u8>>, BlockListError> {
    let mut rest = text.trim_start_matches('\u{feff}').trim();
    if let Some(after) = rest.strip_prefix("<?xml") {
        rest = after.split_once("?>").ok_or(BlockListError::Syntax)?.1.trim_start();
    }
    if matches!(rest, "<BlockList/>" | "<BlockList />") {
        return Ok(Vec::new());
    }
    let inner = rest.strip_prefix("<BlockList>").and_then(|rest| rest.strip_suffix("</BlockList>"));
    let mut rest = inner.ok_or(BlockListError::Syntax)?.trim();
    let mut ids = Vec::new();
    while !rest.is_empty() {
        let (name, after) =
            rest.strip_prefix('<').and_then(|rest| rest.split_once('>')).ok_or(BlockListError::Syntax)?;
        if !matches!(name, "Latest" | "Uncommitted" | "Committed") {
            return Err(BlockListError::Syntax);
        }
        let (id, after) = after.split_once("</").ok_or(BlockListError::Syntax)?;
        let after = after.strip_prefix(name).and_then(|after| after.strip_prefix('>'));
        if ids.len() == MAX_BLOCKS {
            return Err(BlockListError::TooMany);
        }
        ids.push(block_id(id.trim())?);
        rest = after.ok_or(BlockListError::Syntax)?.trim_start();
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_in_their_order() {
        let ids = |ids: &[&str]| Ok(ids.iter().map(|id| id.as_bytes().to_vec()).collect::<Vec<_>>());
        for (text, expected) in [
            ("<BlockList><Latest>YQ==</Latest><Latest>Yg==</Latest></BlockList>", ids(&["a", "b"])),
            (
                "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<BlockList>\n <Uncommitted>Yg</Uncommitted>\n\
                 <Committed>YQ==</Committed>\n</BlockList>\n",
                ids(&["b", "a"]),
            ),
            ("<?xml version=\"1.0\"?><BlockList/>", ids(&[])),
            ("<BlockList></BlockList>", ids(&[])),
            ("", Err(BlockListError::Syntax)),
            ("<BlockList>", Err(BlockListError::Syntax)),
            ("<BlockList><Other>YQ==</Other></BlockList>", Err(BlockListError::Syntax)),
            ("<BlockList><Latest>YQ==</Committed></BlockList>", Err(BlockListError::Syntax)),
            ("<BlockList><Latest>!</Latest></BlockList>", Err(BlockListError::Id)),
            ("<BlockList><Latest></Latest></BlockList>", Err(BlockListError::Id)),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
        let long = format!("<BlockList><Latest>{}</Latest></BlockList>", "A".repeat(100));
        assert_eq!(parse(&long), Err(BlockListError::Id));
        let many = "<Latest>YQ==</Latest>".repeat(MAX_BLOCKS + 1);
        assert_eq!(parse(&format!("<BlockList>{many}</BlockList>")), Err(BlockListError::TooMany));
    }
}
