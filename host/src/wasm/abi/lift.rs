//! From a guest into values. The guest is not trusted: every address and length is checked, and the
//! memory that its values take here is counted against the store's bound.

use wasmtime::ValRaw;
use wasmtime::component::__internal::{InterfaceType, LiftContext};
use wasmtime::component::{FutureReader, Lift, StreamReader};

use super::{Item, MAX_FLAT};
use crate::schema::{Handle, Value};

/// Why results cannot be lifted.
pub enum Fault {
    /// They would take more memory than the store allows.
    TooLarge,
    /// The guest broke the canonical ABI.
    Guest(wasmtime::Error),
}

impl From<wasmtime::Error> for Fault {
    fn from(error: wasmtime::Error) -> Fault {
        Fault::Guest(error)
    }
}

type Result<T> = std::result::Result<T, Fault>;

fn garbled(what: &'static str) -> Fault {
    Fault::Guest(wasmtime::Error::msg(what))
}

/// Counts memory that values take here, before it is taken.
fn spend(cx: &mut LiftContext<'_>, count: usize, size: usize) -> Result<()> {
    cx.consume_fuel_array(count, size).map_err(|_| Fault::TooLarge)
}

/// Lifts the results, whose types are those of the tuple `ty`, from what the function returned:
/// the values themselves, or the address of them where they do not fit.
pub fn results(cx: &mut LiftContext<'_>, ty: InterfaceType, src: &[ValRaw]) -> Result<Option<Value>> {
    let InterfaceType::Tuple(index) = ty else { return Err(garbled("results are no tuple")) };
    let types = cx.types;
    let result = match *types[index].types {
        [] => return Ok(None),
        [result] => result,
        _ => return Err(garbled("more than one result")),
    };
    let most = if cx.options().async_ { MAX_FLAT } else { 1 };
    let abi = types.canonical_abi(&ty);
    if abi.flat_count(most).is_some() {
        return from_flat(cx, result, &mut src.iter()).map(Some);
    }
    let address = src.first().map_or(0, ValRaw::get_u32) as usize;
    let bytes = array(cx, address, 1, abi.size32, abi.align32)?;
    from_memory(cx, result, bytes).map(Some)
}

/// Lifts the arguments of an import, whose types are those of the tuple `ty`, from what the guest passed
/// directly.
pub fn params_from_flat(cx: &mut LiftContext<'_>, ty: InterfaceType, src: &[ValRaw]) -> Result<Vec<Value>> {
    let types = cx.types;
    let InterfaceType::Tuple(index) = ty else { return Err(garbled("parameters are no tuple")) };
    let mut src = src.iter();
    collect(cx, types[index].types.iter().copied(), |cx, ty| from_flat(cx, ty, &mut src))
}

/// Lifts the arguments of an import from the memory at an address that was checked.
pub fn params_from_memory(cx: &mut LiftContext<'_>, ty: InterfaceType, address: usize) -> Result<Vec<Value>> {
    let types = cx.types;
    let InterfaceType::Tuple(index) = ty else { return Err(garbled("parameters are no tuple")) };
    let abi = types.canonical_abi(&ty);
    let bytes = array(cx, address, 1, abi.size32, abi.align32)?;
    fields(cx, types[index].types.iter().copied(), bytes)
}

/// Lifts the element at a place of a buffer.
pub fn element(cx: &mut LiftContext<'_>, ty: InterfaceType, address: usize, place: usize) -> Result<Value> {
    let abi = cx.types.canonical_abi(&ty);
    let size = abi.size32 as usize;
    let at = place.checked_mul(size).and_then(|offset| address.checked_add(offset));
    let at = at.ok_or_else(|| garbled("the guest wrote to a stream from out of the bounds of its memory"))?;
    let bytes = array(cx, at, 1, abi.size32, abi.align32)?;
    from_memory(cx, ty, bytes)
}

/// The bytes of the element at a place of a buffer, where it is a `list<u8>`.
pub fn bytes_element<'m>(cx: &mut LiftContext<'m>, ty: InterfaceType, address: usize, place: usize) -> Option<Result<&'m [u8]>> {
    let InterfaceType::List(index) = ty else { return None };
    if cx.types[index].element != InterfaceType::U8 {
        return None;
    }
    let pair = place.checked_mul(PAIR).and_then(|offset| address.checked_add(offset));
    let pair = pair.ok_or_else(|| garbled("the guest wrote to a stream from out of the bounds of its memory"));
    Some(pair.and_then(|at| {
        let pair = array(cx, at, 1, PAIR as u32, POINTER)?;
        let (address, length) = (word(pair, 0)? as usize, word(pair, 4)? as usize);
        let bytes = array(cx, address, length, 1, 1)?;
        spend(cx, length, 1)?;
        Ok(bytes)
    }))
}

/// A list in memory: its address, and its length.
const PAIR: usize = 8;

/// How an address is aligned.
const POINTER: u32 = 4;

/// The reading end of a stream, made by the guest or passed through it.
fn stream<L: Copy>(
    cx: &mut LiftContext<'_>,
    ty: InterfaceType,
    src: L,
    bytes: impl FnOnce(&mut LiftContext<'_>, L) -> wasmtime::Result<StreamReader<u8>>,
    items: impl FnOnce(&mut LiftContext<'_>, L) -> wasmtime::Result<StreamReader<Item>>,
) -> Result<Value> {
    let InterfaceType::Stream(index) = ty else { return Err(garbled("no stream where one was expected")) };
    let types = cx.types;
    Ok(Value::Handle(match types[types[index].ty].payload {
        Some(InterfaceType::U8) => Handle::new(bytes(cx, src)?),
        _ => Handle::new(items(cx, src)?),
    }))
}

fn from_flat(cx: &mut LiftContext<'_>, ty: InterfaceType, src: &mut std::slice::Iter<'_, ValRaw>) -> Result<Value> {
    let types = cx.types;
    Ok(match ty {
        InterfaceType::Bool => Value::Bool(leaf_flat(cx, ty, src)?),
        InterfaceType::S8 => Value::S8(leaf_flat(cx, ty, src)?),
        InterfaceType::U8 => Value::U8(leaf_flat(cx, ty, src)?),
        InterfaceType::S16 => Value::S16(leaf_flat(cx, ty, src)?),
        InterfaceType::U16 => Value::U16(leaf_flat(cx, ty, src)?),
        InterfaceType::S32 => Value::S32(leaf_flat(cx, ty, src)?),
        InterfaceType::U32 => Value::U32(leaf_flat(cx, ty, src)?),
        InterfaceType::S64 => Value::S64(leaf_flat(cx, ty, src)?),
        InterfaceType::U64 => Value::U64(leaf_flat(cx, ty, src)?),
        InterfaceType::Float32 => Value::F32(leaf_flat(cx, ty, src)?),
        InterfaceType::Float64 => Value::F64(leaf_flat(cx, ty, src)?),
        InterfaceType::Char => Value::Char(leaf_flat(cx, ty, src)?),
        InterfaceType::String => {
            let pair = [*next(src)?, *next(src)?];
            string_fits(cx, pair[1].get_u32())?;
            Value::String(String::linear_lift_from_flat(cx, ty, &pair)?)
        }
        InterfaceType::List(_) | InterfaceType::Map(_) => {
            let (address, length) = (next(src)?.get_u32(), next(src)?.get_u32());
            sequence(cx, ty, address, length)?
        }
        InterfaceType::Record(index) => {
            Value::Record(collect(cx, types[index].fields.iter().map(|field| field.ty), |cx, ty| from_flat(cx, ty, src))?)
        }
        InterfaceType::Tuple(index) => Value::Record(collect(cx, types[index].types.iter().copied(), |cx, ty| from_flat(cx, ty, src))?),
        InterfaceType::FixedLengthList(index) => {
            let list = &types[index];
            Value::List(collect(cx, std::iter::repeat_n(list.element, list.size as usize), |cx, ty| from_flat(cx, ty, src))?)
        }
        InterfaceType::Flags(index) => {
            let count = types[index].names.len();
            let words = (0..count.div_ceil(32)).map(|_| next(src).map(ValRaw::get_u32)).collect::<Result<Vec<_>>>()?;
            Value::Flags(known_flags(words, count))
        }
        InterfaceType::Variant(_) | InterfaceType::Enum(_) | InterfaceType::Option(_) | InterfaceType::Result(_) => {
            let case = next(src)?.get_u32();
            let payload = case_type(cx, ty, case)?;
            let (payload, taken) = match payload {
                Some(ty) => (Some(boxed(cx, |cx| from_flat(cx, ty, src))?), flat_count(cx, ty)?),
                None => (None, 0),
            };
            for _ in 1 + taken..flat_count(cx, ty)? {
                next(src)?;
            }
            Value::Variant(case, payload)
        }
        InterfaceType::Stream(_) => {
            let src = next(src)?;
            let bytes = |cx: &mut LiftContext<'_>, src| StreamReader::linear_lift_from_flat(cx, ty, src);
            stream(cx, ty, src, bytes, |cx, src| StreamReader::linear_lift_from_flat(cx, ty, src))?
        }
        InterfaceType::Future(_) => Value::Handle(Handle::new(leaf_flat::<FutureReader<Item>>(cx, ty, src)?)),
        _ => return Err(garbled("a type that is not carried")),
    })
}

fn from_memory(cx: &mut LiftContext<'_>, ty: InterfaceType, bytes: &[u8]) -> Result<Value> {
    let types = cx.types;
    Ok(match ty {
        InterfaceType::Bool => Value::Bool(bool::linear_lift_from_memory(cx, ty, bytes)?),
        InterfaceType::S8 => Value::S8(i8::linear_lift_from_memory(cx, ty, bytes)?),
        InterfaceType::U8 => Value::U8(u8::linear_lift_from_memory(cx, ty, bytes)?),
        InterfaceType::S16 => Value::S16(i16::linear_lift_from_memory(cx, ty, bytes)?),
        InterfaceType::U16 => Value::U16(u16::linear_lift_from_memory(cx, ty, bytes)?),
        InterfaceType::S32 => Value::S32(i32::linear_lift_from_memory(cx, ty, bytes)?),
        InterfaceType::U32 => Value::U32(u32::linear_lift_from_memory(cx, ty, bytes)?),
        InterfaceType::S64 => Value::S64(i64::linear_lift_from_memory(cx, ty, bytes)?),
        InterfaceType::U64 => Value::U64(u64::linear_lift_from_memory(cx, ty, bytes)?),
        InterfaceType::Float32 => Value::F32(f32::linear_lift_from_memory(cx, ty, bytes)?),
        InterfaceType::Float64 => Value::F64(f64::linear_lift_from_memory(cx, ty, bytes)?),
        InterfaceType::Char => Value::Char(char::linear_lift_from_memory(cx, ty, bytes)?),
        InterfaceType::String => {
            string_fits(cx, word(bytes, 4)?)?;
            Value::String(String::linear_lift_from_memory(cx, ty, bytes)?)
        }
        InterfaceType::List(_) | InterfaceType::Map(_) => sequence(cx, ty, word(bytes, 0)?, word(bytes, 4)?)?,
        InterfaceType::Record(index) => Value::Record(fields(cx, types[index].fields.iter().map(|field| field.ty), bytes)?),
        InterfaceType::Tuple(index) => Value::Record(fields(cx, types[index].types.iter().copied(), bytes)?),
        InterfaceType::FixedLengthList(index) => {
            let list = &types[index];
            let size = types.canonical_abi(&list.element).size32;
            Value::List(elements(cx, list.element, bytes, size, list.size as usize)?)
        }
        InterfaceType::Flags(index) => {
            let count = types[index].names.len();
            let words = match types[index].abi.size32 {
                0 => Vec::new(),
                1 => vec![u32::from(u8::linear_lift_from_memory(cx, InterfaceType::U8, bytes)?)],
                2 => vec![u32::from(u16::linear_lift_from_memory(cx, InterfaceType::U16, bytes)?)],
                _ => (0..count.div_ceil(32)).map(|i| word(bytes, 4 * i)).collect::<Result<Vec<_>>>()?,
            };
            Value::Flags(known_flags(words, count))
        }
        InterfaceType::Variant(_) | InterfaceType::Enum(_) | InterfaceType::Option(_) | InterfaceType::Result(_) => {
            let info = match ty {
                InterfaceType::Variant(index) => &types[index].info,
                InterfaceType::Enum(index) => &types[index].info,
                InterfaceType::Option(index) => &types[index].info,
                InterfaceType::Result(index) => &types[index].info,
                _ => return Err(garbled("a type that is not carried")),
            };
            let case = match info.size.byte_size() {
                1 => u32::from(u8::linear_lift_from_memory(cx, InterfaceType::U8, slice(bytes, 0, 1)?)?),
                2 => u32::from(u16::linear_lift_from_memory(cx, InterfaceType::U16, slice(bytes, 0, 2)?)?),
                _ => word(bytes, 0)?,
            };
            let payload = match case_type(cx, ty, case)? {
                Some(ty) => {
                    let size = types.canonical_abi(&ty).size32 as usize;
                    let bytes = slice(bytes, info.payload_offset32 as usize, size)?;
                    Some(boxed(cx, |cx| from_memory(cx, ty, bytes))?)
                }
                None => None,
            };
            Value::Variant(case, payload)
        }
        InterfaceType::Stream(_) => {
            let handle = |cx: &mut LiftContext<'_>, src| StreamReader::linear_lift_from_memory(cx, ty, src);
            stream(cx, ty, bytes, handle, |cx, src| StreamReader::linear_lift_from_memory(cx, ty, src))?
        }
        InterfaceType::Future(_) => Value::Handle(Handle::new(FutureReader::<Item>::linear_lift_from_memory(cx, ty, bytes)?)),
        _ => return Err(garbled("a type that is not carried")),
    })
}

/// Counts a string, which wasmtime would make a trap of if it were too long. It counts it once more,
/// so strings may take half of what the store allows. The highest bit of a length can be a mark of
/// the encoding ("Canonical ABI", latin1+utf16).
fn string_fits(cx: &mut LiftContext<'_>, length: u32) -> Result<()> {
    spend(cx, (length & !(1 << 31)) as usize, STRING_FACTOR)
}

/// wasmtime counts up to this many bytes for each unit of a string's length.
const STRING_FACTOR: usize = 2;

/// A list or map from where the guest says that it is.
fn sequence(cx: &mut LiftContext<'_>, ty: InterfaceType, address: u32, length: u32) -> Result<Value> {
    let types = cx.types;
    let (address, length) = (address as usize, length as usize);
    match ty {
        InterfaceType::List(index) if matches!(types[index].element, InterfaceType::U8) => {
            let bytes = array(cx, address, length, 1, 1)?;
            spend(cx, length, 1)?;
            Ok(Value::Bytes(bytes.to_vec()))
        }
        InterfaceType::List(index) => {
            let element = types[index].element;
            let abi = types.canonical_abi(&element);
            let bytes = array(cx, address, length, abi.size32, abi.align32)?;
            Ok(Value::List(elements(cx, element, bytes, abi.size32, length)?))
        }
        InterfaceType::Map(index) => {
            let map = &types[index];
            let size = map.entry_abi.size32;
            let bytes = array(cx, address, length, size, map.entry_abi.align32)?;
            spend(cx, length, 2 * size_of::<Value>())?;
            let (key_size, value_size) = (types.canonical_abi(&map.key).size32 as usize, types.canonical_abi(&map.value).size32 as usize);
            let mut entries = Vec::with_capacity(length);
            for i in 0..length {
                let entry = slice(bytes, i * size as usize, size as usize)?;
                let key = from_memory(cx, map.key, slice(entry, 0, key_size)?)?;
                let value = from_memory(cx, map.value, slice(entry, map.value_offset32 as usize, value_size)?)?;
                entries.push((key, value));
            }
            Ok(Value::Map(entries))
        }
        _ => Err(garbled("a type that is not carried")),
    }
}

fn elements(cx: &mut LiftContext<'_>, element: InterfaceType, bytes: &[u8], size: u32, count: usize) -> Result<Vec<Value>> {
    // Before the allocation: a list of empty records takes no guest memory, whatever its length.
    spend(cx, count, size_of::<Value>())?;
    let mut values = Vec::with_capacity(count);
    for i in 0..count {
        let bytes = slice(bytes, i * size as usize, size as usize)?;
        values.push(from_memory(cx, element, bytes)?);
    }
    Ok(values)
}

fn fields(cx: &mut LiftContext<'_>, field_types: impl ExactSizeIterator<Item = InterfaceType>, bytes: &[u8]) -> Result<Vec<Value>> {
    let types = cx.types;
    let mut offset = 0;
    collect(cx, field_types, |cx, ty| {
        let abi = types.canonical_abi(&ty);
        let at = abi.next_field32_size(&mut offset);
        from_memory(cx, ty, slice(bytes, at, abi.size32 as usize)?)
    })
}

fn collect(
    cx: &mut LiftContext<'_>,
    types: impl ExactSizeIterator<Item = InterfaceType>,
    mut lift: impl FnMut(&mut LiftContext<'_>, InterfaceType) -> Result<Value>,
) -> Result<Vec<Value>> {
    spend(cx, types.len(), size_of::<Value>())?;
    let mut values = Vec::with_capacity(types.len());
    for ty in types {
        values.push(lift(cx, ty)?);
    }
    Ok(values)
}

fn boxed(cx: &mut LiftContext<'_>, lift: impl FnOnce(&mut LiftContext<'_>) -> Result<Value>) -> Result<Box<Value>> {
    spend(cx, 1, size_of::<Value>())?;
    lift(cx).map(Box::new)
}

/// Bits beyond the last flag mean nothing ("Canonical ABI", `load_flags`).
fn known_flags(mut words: Vec<u32>, count: usize) -> Vec<u32> {
    if let (Some(last), rest @ 1..) = (words.last_mut(), count % 32) {
        *last &= (1 << rest) - 1;
    }
    words
}

fn case_type(cx: &LiftContext<'_>, ty: InterfaceType, case: u32) -> Result<Option<InterfaceType>> {
    super::case_type(cx.types, ty, case).ok_or_else(|| garbled("the guest returned case {case}, which its type does not have"))
}

fn flat_count(cx: &LiftContext<'_>, ty: InterfaceType) -> Result<usize> {
    cx.types.canonical_abi(&ty).flat_count(MAX_FLAT).ok_or_else(|| garbled("a type is wider than its results"))
}

fn leaf_flat<V: Lift<Lower = ValRaw>>(cx: &mut LiftContext<'_>, ty: InterfaceType, src: &mut std::slice::Iter<'_, ValRaw>) -> Result<V> {
    Ok(V::linear_lift_from_flat(cx, ty, next(src)?)?)
}

fn next<'s>(src: &mut std::slice::Iter<'s, ValRaw>) -> Result<&'s ValRaw> {
    src.next().ok_or_else(|| garbled("the guest returned fewer values than its type has"))
}

fn word(bytes: &[u8], at: usize) -> Result<u32> {
    match bytes.get(at..).and_then(<[u8]>::first_chunk) {
        Some(word) => Ok(u32::from_le_bytes(*word)),
        None => Err(garbled("a value is cut short")),
    }
}

fn slice(bytes: &[u8], at: usize, size: usize) -> Result<&[u8]> {
    bytes.get(at..).and_then(|bytes| bytes.get(..size)).ok_or_else(|| garbled("a value is cut short"))
}

/// `count` elements of guest memory, checked for bounds and alignment.
fn array<'m>(cx: &LiftContext<'m>, address: usize, count: usize, size: u32, align: u32) -> Result<&'m [u8]> {
    if !address.is_multiple_of(align as usize) {
        return Err(garbled("the guest returned an address that is not aligned"));
    }
    count
        .checked_mul(size as usize)
        .and_then(|length| cx.memory().get(address..)?.get(..length))
        .ok_or_else(|| garbled("the guest returned an address out of the bounds of its memory"))
}
