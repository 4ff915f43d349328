//! From values into a guest.

use std::mem::MaybeUninit;

use wasmtime::component::__internal::{InterfaceType, LowerContext};
use wasmtime::component::{FutureReader, Lower, StreamReader};
use wasmtime::{Result, ValRaw, bail};

use super::{Item, MAX_FLAT};
use crate::schema::Value;

/// Lowers all parameters, whose types are those of the tuple `ty`: each directly where all fit, else
/// in memory, with its address as the one parameter.
pub fn params<T>(cx: &mut LowerContext<'_, T>, ty: InterfaceType, values: &[Value], flat: &mut [ValRaw; MAX_FLAT]) -> Result<()> {
    let abi = cx.types.canonical_abi(&ty);
    if abi.flat_count(MAX_FLAT).is_some() {
        let mut flat = flat.iter_mut();
        return tuple_flat(cx, ty, values, &mut flat);
    }
    let (align, size) = (abi.align32, abi.size32 as usize);
    let address = cx.realloc(0, 0, align, size)?;
    let InterfaceType::Tuple(index) = ty else { bail!("parameters are no tuple") };
    let types = cx.types;
    fields_to_memory(cx, types[index].types.iter().copied(), values, address)?;
    flat[0] = ValRaw::i64(i64::try_from(address)?);
    Ok(())
}

/// Lowers the result of an import, of the tuple `ty`, to what is passed directly.
pub fn result_to_flat<T>(cx: &mut LowerContext<'_, T>, ty: InterfaceType, value: Option<&Value>, flat: &mut [ValRaw]) -> Result<()> {
    match (result_type(cx, ty)?, value) {
        (Some(ty), Some(value)) => to_flat(cx, ty, value, &mut flat.iter_mut()),
        (None, _) => Ok(()),
        (Some(_), None) => bail!("a function returned nothing where its type has a result"),
    }
}

/// Lowers the result of an import to the memory at an address that was checked.
pub fn result_to_memory<T>(cx: &mut LowerContext<'_, T>, ty: InterfaceType, value: Option<&Value>, at: usize) -> Result<()> {
    match (result_type(cx, ty)?, value) {
        (Some(ty), Some(value)) => to_memory(cx, ty, value, at),
        (None, _) => Ok(()),
        (Some(_), None) => bail!("a function returned nothing where its type has a result"),
    }
}

fn result_type<T>(cx: &LowerContext<'_, T>, ty: InterfaceType) -> Result<Option<InterfaceType>> {
    let InterfaceType::Tuple(index) = ty else { bail!("results are no tuple") };
    match *cx.types[index].types {
        [] => Ok(None),
        [result] => Ok(Some(result)),
        _ => bail!("more than one result"),
    }
}

fn tuple_flat<'f, T>(
    cx: &mut LowerContext<'_, T>,
    ty: InterfaceType,
    values: &[Value],
    flat: &mut impl Iterator<Item = &'f mut ValRaw>,
) -> Result<()> {
    let InterfaceType::Tuple(index) = ty else { bail!("parameters are no tuple") };
    let types = cx.types;
    same_length(types[index].types.len(), values.len())?;
    for (ty, value) in types[index].types.iter().zip(values) {
        to_flat(cx, *ty, value, flat)?;
    }
    Ok(())
}

fn to_flat<'f, T>(
    cx: &mut LowerContext<'_, T>,
    ty: InterfaceType,
    value: &Value,
    flat: &mut impl Iterator<Item = &'f mut ValRaw>,
) -> Result<()> {
    let types = cx.types;
    match (ty, value) {
        (InterfaceType::Bool, Value::Bool(v)) => leaf_flat(cx, ty, v, flat),
        (InterfaceType::S8, Value::S8(v)) => leaf_flat(cx, ty, v, flat),
        (InterfaceType::U8, Value::U8(v)) => leaf_flat(cx, ty, v, flat),
        (InterfaceType::S16, Value::S16(v)) => leaf_flat(cx, ty, v, flat),
        (InterfaceType::U16, Value::U16(v)) => leaf_flat(cx, ty, v, flat),
        (InterfaceType::S32, Value::S32(v)) => leaf_flat(cx, ty, v, flat),
        (InterfaceType::U32, Value::U32(v)) => leaf_flat(cx, ty, v, flat),
        (InterfaceType::S64, Value::S64(v)) => leaf_flat(cx, ty, v, flat),
        (InterfaceType::U64, Value::U64(v)) => leaf_flat(cx, ty, v, flat),
        (InterfaceType::Float32, Value::F32(v)) => leaf_flat(cx, ty, v, flat),
        (InterfaceType::Float64, Value::F64(v)) => leaf_flat(cx, ty, v, flat),
        (InterfaceType::Char, Value::Char(v)) => leaf_flat(cx, ty, v, flat),
        (InterfaceType::String, Value::String(v)) => {
            let mut pair = MaybeUninit::<[ValRaw; 2]>::zeroed();
            v.as_str().linear_lower_to_flat(cx, ty, &mut pair)?;
            // SAFETY: zeros are a valid `ValRaw`, and lowering has written both since.
            let [address, length] = unsafe { pair.assume_init() };
            put(flat, address)?;
            put(flat, length)
        }
        (InterfaceType::List(_) | InterfaceType::Map(_), value) => {
            let (address, length) = sequence(cx, ty, value)?;
            put(flat, ValRaw::i64(i64::try_from(address)?))?;
            put(flat, ValRaw::i64(i64::try_from(length)?))
        }
        (InterfaceType::Record(index), Value::Record(values)) => {
            same_length(types[index].fields.len(), values.len())?;
            for (field, value) in types[index].fields.iter().zip(values) {
                to_flat(cx, field.ty, value, flat)?;
            }
            Ok(())
        }
        (InterfaceType::Tuple(_), Value::Record(values)) => tuple_flat(cx, ty, values, flat),
        (InterfaceType::FixedLengthList(index), Value::List(values)) => {
            same_length(types[index].size as usize, values.len())?;
            values.iter().try_for_each(|value| to_flat(cx, types[index].element, value, flat))
        }
        (InterfaceType::Flags(index), Value::Flags(words)) => {
            same_length(types[index].names.len().div_ceil(32), words.len())?;
            words.iter().try_for_each(|word| put(flat, ValRaw::u32(*word)))
        }
        (_, Value::Variant(case, payload)) => {
            let payload_type = case_type(cx, ty, *case)?;
            put(flat, ValRaw::u32(*case))?;
            let taken = match (payload_type, payload) {
                (Some(ty), Some(value)) => {
                    to_flat(cx, ty, value, flat)?;
                    flat_count(cx, ty)?
                }
                (None, None) => 0,
                _ => bail!("a case has a payload exactly where its type has one"),
            };
            // The other cases may be wider: what they would take is zeros.
            for _ in 1 + taken..flat_count(cx, ty)? {
                put(flat, ValRaw::u64(0))?;
            }
            Ok(())
        }
        (InterfaceType::Stream(_) | InterfaceType::Future(_), Value::Handle(handle)) => {
            if let Some(items) = handle.get::<StreamReader<Item>>() {
                leaf_flat(cx, ty, items, flat)
            } else if let Some(bytes) = handle.get::<StreamReader<u8>>() {
                leaf_flat(cx, ty, bytes, flat)
            } else if let Some(item) = handle.get::<FutureReader<Item>>() {
                leaf_flat(cx, ty, item, flat)
            } else {
                bail!("a value does not have its parameter's type")
            }
        }
        _ => bail!("a value does not have its parameter's type"),
    }
}

/// Lowers elements into a buffer of the guest's.
pub fn buffer<T>(cx: &mut LowerContext<'_, T>, ty: InterfaceType, address: usize, items: &[Item]) -> Result<()> {
    let abi = cx.types.canonical_abi(&ty);
    let size = abi.size32 as usize;
    let length = items.len().checked_mul(size).and_then(|length| address.checked_add(length));
    if length.is_none_or(|end| end > cx.as_slice_mut().len()) {
        bail!("the guest reads a stream into what is out of the bounds of its memory");
    }
    if !address.is_multiple_of(abi.align32 as usize) {
        bail!("the guest reads a stream into an address that is not aligned");
    }
    let takes_bytes = matches!(ty, InterfaceType::List(index) if cx.types[index].element == InterfaceType::U8);
    let mut whole: &[u8] = &[];
    for (place, item) in items.iter().enumerate() {
        let at = address + place * size;
        match item {
            Item::Value(Ok(value)) => to_memory(cx, ty, value, at)?,
            Item::Part { of, start, length } if takes_bytes => {
                whole = of.as_deref().unwrap_or(whole);
                match whole.get(*start..).and_then(|rest| rest.get(..*length)) {
                    Some(bytes) => bytes_to_memory(cx, bytes, at)?,
                    None => bail!("an element is no part of what it is said to be of"),
                }
            }
            Item::Value(Err(_)) | Item::Part { .. } | Item::Large(_) => bail!("an element is lowered that is not meant for a guest"),
        }
    }
    Ok(())
}

/// Copies bytes into memory that the guest allocates, and says at `at` where they are.
fn bytes_to_memory<T>(cx: &mut LowerContext<'_, T>, bytes: &[u8], at: usize) -> Result<()> {
    let address = cx.realloc(0, 0, 1, bytes.len())?;
    let (start, length) = (u32::try_from(address)?, u32::try_from(bytes.len())?);
    // Asked for once: where the memory is costs as much as a small copy.
    let memory = cx.as_slice_mut();
    memory[address..][..bytes.len()].copy_from_slice(bytes);
    memory[at..][..4].copy_from_slice(&start.to_le_bytes());
    memory[at + 4..][..4].copy_from_slice(&length.to_le_bytes());
    Ok(())
}

fn to_memory<T>(cx: &mut LowerContext<'_, T>, ty: InterfaceType, value: &Value, at: usize) -> Result<()> {
    let types = cx.types;
    match (ty, value) {
        (InterfaceType::Bool, Value::Bool(v)) => v.linear_lower_to_memory(cx, ty, at),
        (InterfaceType::S8, Value::S8(v)) => v.linear_lower_to_memory(cx, ty, at),
        (InterfaceType::U8, Value::U8(v)) => v.linear_lower_to_memory(cx, ty, at),
        (InterfaceType::S16, Value::S16(v)) => v.linear_lower_to_memory(cx, ty, at),
        (InterfaceType::U16, Value::U16(v)) => v.linear_lower_to_memory(cx, ty, at),
        (InterfaceType::S32, Value::S32(v)) => v.linear_lower_to_memory(cx, ty, at),
        (InterfaceType::U32, Value::U32(v)) => v.linear_lower_to_memory(cx, ty, at),
        (InterfaceType::S64, Value::S64(v)) => v.linear_lower_to_memory(cx, ty, at),
        (InterfaceType::U64, Value::U64(v)) => v.linear_lower_to_memory(cx, ty, at),
        (InterfaceType::Float32, Value::F32(v)) => v.linear_lower_to_memory(cx, ty, at),
        (InterfaceType::Float64, Value::F64(v)) => v.linear_lower_to_memory(cx, ty, at),
        (InterfaceType::Char, Value::Char(v)) => v.linear_lower_to_memory(cx, ty, at),
        (InterfaceType::String, Value::String(v)) => v.as_str().linear_lower_to_memory(cx, ty, at),
        (InterfaceType::List(index), Value::Bytes(bytes)) if types[index].element == InterfaceType::U8 => bytes_to_memory(cx, bytes, at),
        (InterfaceType::List(_) | InterfaceType::Map(_), value) => {
            let (address, length) = sequence(cx, ty, value)?;
            *cx.get(at) = u32::try_from(address)?.to_le_bytes();
            *cx.get(at + 4) = u32::try_from(length)?.to_le_bytes();
            Ok(())
        }
        (InterfaceType::Record(index), Value::Record(values)) => {
            fields_to_memory(cx, types[index].fields.iter().map(|field| field.ty), values, at)
        }
        (InterfaceType::Tuple(index), Value::Record(values)) => fields_to_memory(cx, types[index].types.iter().copied(), values, at),
        (InterfaceType::FixedLengthList(index), Value::List(values)) => {
            same_length(types[index].size as usize, values.len())?;
            elements(cx, types[index].element, values, at)
        }
        (InterfaceType::Flags(index), Value::Flags(words)) => {
            same_length(types[index].names.len().div_ceil(32), words.len())?;
            match (types[index].abi.size32, words.as_slice()) {
                (1, [word]) => (*word as u8).linear_lower_to_memory(cx, InterfaceType::U8, at),
                (2, [word]) => (*word as u16).linear_lower_to_memory(cx, InterfaceType::U16, at),
                _ => words.iter().enumerate().try_for_each(|(i, word)| word.linear_lower_to_memory(cx, InterfaceType::U32, at + 4 * i)),
            }
        }
        (_, Value::Variant(case, payload)) => {
            let payload_type = case_type(cx, ty, *case)?;
            let info = match ty {
                InterfaceType::Variant(index) => &types[index].info,
                InterfaceType::Enum(index) => &types[index].info,
                InterfaceType::Option(index) => &types[index].info,
                InterfaceType::Result(index) => &types[index].info,
                _ => bail!("a value does not have its parameter's type"),
            };
            match info.size.byte_size() {
                1 => (*case as u8).linear_lower_to_memory(cx, InterfaceType::U8, at)?,
                2 => (*case as u16).linear_lower_to_memory(cx, InterfaceType::U16, at)?,
                _ => case.linear_lower_to_memory(cx, InterfaceType::U32, at)?,
            }
            match (payload_type, payload) {
                (Some(ty), Some(value)) => to_memory(cx, ty, value, at + info.payload_offset32 as usize),
                (None, None) => Ok(()),
                _ => bail!("a case has a payload exactly where its type has one"),
            }
        }
        (InterfaceType::Stream(_) | InterfaceType::Future(_), Value::Handle(handle)) => {
            if let Some(items) = handle.get::<StreamReader<Item>>() {
                items.linear_lower_to_memory(cx, ty, at)
            } else if let Some(bytes) = handle.get::<StreamReader<u8>>() {
                bytes.linear_lower_to_memory(cx, ty, at)
            } else if let Some(item) = handle.get::<FutureReader<Item>>() {
                item.linear_lower_to_memory(cx, ty, at)
            } else {
                bail!("a value does not have its parameter's type")
            }
        }
        _ => bail!("a value does not have its parameter's type"),
    }
}

/// Copies a list or map into memory that the guest allocates; its address and length.
fn sequence<T>(cx: &mut LowerContext<'_, T>, ty: InterfaceType, value: &Value) -> Result<(usize, usize)> {
    let types = cx.types;
    match (ty, value) {
        (InterfaceType::List(index), Value::Bytes(bytes)) if matches!(types[index].element, InterfaceType::U8) => {
            let address = cx.realloc(0, 0, 1, bytes.len())?;
            cx.as_slice_mut()[address..][..bytes.len()].copy_from_slice(bytes);
            Ok((address, bytes.len()))
        }
        (InterfaceType::List(index), Value::List(values)) => {
            let element = types[index].element;
            let abi = types.canonical_abi(&element);
            let address = allocate(cx, abi.align32, abi.size32, values.len())?;
            elements(cx, element, values, address)?;
            Ok((address, values.len()))
        }
        (InterfaceType::Map(index), Value::Map(entries)) => {
            let map = &types[index];
            let address = allocate(cx, map.entry_abi.align32, map.entry_abi.size32, entries.len())?;
            for (i, (key, value)) in entries.iter().enumerate() {
                let at = address + i * map.entry_abi.size32 as usize;
                to_memory(cx, map.key, key, at)?;
                to_memory(cx, map.value, value, at + map.value_offset32 as usize)?;
            }
            Ok((address, entries.len()))
        }
        _ => bail!("a value does not have its parameter's type"),
    }
}

fn allocate<T>(cx: &mut LowerContext<'_, T>, align: u32, size: u32, count: usize) -> Result<usize> {
    match count.checked_mul(size as usize) {
        Some(bytes) => cx.realloc(0, 0, align, bytes),
        None => bail!("a list of {count} elements does not fit any memory"),
    }
}

fn elements<T>(cx: &mut LowerContext<'_, T>, element: InterfaceType, values: &[Value], at: usize) -> Result<()> {
    let size = cx.types.canonical_abi(&element).size32 as usize;
    values.iter().enumerate().try_for_each(|(i, value)| to_memory(cx, element, value, at + i * size))
}

fn fields_to_memory<T>(
    cx: &mut LowerContext<'_, T>,
    field_types: impl ExactSizeIterator<Item = InterfaceType>,
    values: &[Value],
    at: usize,
) -> Result<()> {
    same_length(field_types.len(), values.len())?;
    let types = cx.types;
    let mut offset = at;
    for (ty, value) in field_types.zip(values) {
        let at = types.canonical_abi(&ty).next_field32_size(&mut offset);
        to_memory(cx, ty, value, at)?;
    }
    Ok(())
}

/// The payload type of a case of a variant, enum, option or result.
fn case_type<T>(cx: &LowerContext<'_, T>, ty: InterfaceType, case: u32) -> Result<Option<InterfaceType>> {
    super::case_type(cx.types, ty, case).ok_or_else(|| wasmtime::format_err!("there is no case {case}"))
}

fn flat_count<T>(cx: &LowerContext<'_, T>, ty: InterfaceType) -> Result<usize> {
    cx.types.canonical_abi(&ty).flat_count(MAX_FLAT).ok_or_else(|| wasmtime::format_err!("a type is wider than its parameters"))
}

fn leaf_flat<'f, T, V: Lower<Lower = ValRaw>>(
    cx: &mut LowerContext<'_, T>,
    ty: InterfaceType,
    value: &V,
    flat: &mut impl Iterator<Item = &'f mut ValRaw>,
) -> Result<()> {
    let mut raw = MaybeUninit::<ValRaw>::zeroed();
    value.linear_lower_to_flat(cx, ty, &mut raw)?;
    // SAFETY: zeros are a valid `ValRaw`, and lowering has written it since.
    put(flat, unsafe { raw.assume_init() })
}

fn put<'f>(flat: &mut impl Iterator<Item = &'f mut ValRaw>, value: ValRaw) -> Result<()> {
    match flat.next() {
        Some(place) => {
            *place = value;
            Ok(())
        }
        None => bail!("more parameters than the function takes"),
    }
}

fn same_length(expected: usize, got: usize) -> Result<()> {
    if expected != got {
        bail!("expected {expected} values, got {got}");
    }
    Ok(())
}
