//! The names of an ONNX graph's first nodes, which its library does not tell. A file is protocol buffers: fields one after
//! the other, each a number, a type and a value; what is not asked for is skipped, so large weights are not read.

use std::io::{self, Read, Seek};

/// `ModelProto.graph`, `GraphProto.node` and `NodeProto.name` in onnx.proto.
const GRAPH: u64 = 7;
const NODE: u64 = 1;
const NAME: u64 = 3;
/// A longer name is no name.
const LONGEST_NAME: u64 = 4096;

/// The names of the first nodes of the graph, at most `count`.
pub(crate) fn first_nodes(file: &mut (impl Read + Seek), count: usize) -> io::Result<Vec<String>> {
    let end = file.seek(io::SeekFrom::End(0))?;
    file.rewind()?;
    let mut names = Vec::new();
    let Some(graph_end) = enter(file, GRAPH, end)? else { return Ok(names) };
    while names.len() < count {
        let Some(node_end) = enter(file, NODE, graph_end)? else { break };
        let mut name = Vec::new();
        if let Some(name_end) = enter(file, NAME, node_end)? {
            let length = name_end - file.stream_position()?;
            if length > LONGEST_NAME {
                return Err(malformed());
            }
            file.take(length).read_to_end(&mut name)?;
        }
        file.seek(io::SeekFrom::Start(node_end))?;
        names.push(String::from_utf8_lossy(&name).into_owned());
    }
    Ok(names)
}

/// Goes to the next message or text with this number before `end`; answers where it ends.
fn enter(file: &mut (impl Read + Seek), number: u64, end: u64) -> io::Result<Option<u64>> {
    while file.stream_position()? < end {
        let tag = varint(file)?;
        let length = match tag & 7 {
            0 => {
                varint(file)?;
                0
            }
            1 => 8,
            2 => varint(file)?,
            5 => 4,
            _ => return Err(malformed()),
        };
        let at = file.stream_position()?;
        let value_end = at.checked_add(length).filter(|&it| it <= end).ok_or_else(malformed)?;
        if tag == (number << 3) | 2 {
            return Ok(Some(value_end));
        }
        file.seek(io::SeekFrom::Start(value_end))?;
    }
    Ok(None)
}

/// Seven bits a byte, the lowest first, until a byte without the eighth.
fn varint(file: &mut impl Read) -> io::Result<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let mut byte = [0];
        file.read_exact(&mut byte)?;
        value |= u64::from(byte[0] & 0x7f) << shift;
        if byte[0] < 0x80 {
            return Ok(value);
        }
    }
    Err(malformed())
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not a file of protocol buffers")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    /// A field that holds bytes; short ones.
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[(number << 3) | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
    }

    #[test]
    fn names_are_found_between_fields_that_are_not_asked_for() {
        let node = |name: &str| field(1, &[field(1, b"x"), field(3, name.as_bytes()), field(4, b"Sub")].concat());
        let graph =
            [node("Sub_0"), node(""), field(1, &field(4, b"Relu")), node("Mul_2"), field(2, b"weights")].concat();
        let model = [vec![0x08, 0x88, 0x01], field(2, b"maker"), field(7, &graph)].concat();
        let names = |count| first_nodes(&mut Cursor::new(&model), count).unwrap();
        assert_eq!(names(8), ["Sub_0", "", "", "Mul_2"]);
        assert_eq!(names(1), ["Sub_0"]);
    }

    #[test]
    fn what_is_cut_off_or_something_else_is_an_error_and_no_panic() {
        let model = field(7, &field(1, &field(3, b"Sub_0")));
        for end in 1..model.len() {
            assert!(first_nodes(&mut Cursor::new(&model[..end]), 8).is_err(), "{end}");
        }
        assert!(first_nodes(&mut Cursor::new([0xff; 40]), 8).is_err());
        assert!(first_nodes(&mut Cursor::new([]), 8).unwrap().is_empty());
    }
}
