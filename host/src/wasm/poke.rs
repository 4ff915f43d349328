use std::sync::Arc; use std::time::*;
use super::{engine::*, imports, pool::*, call::*, abi::Width};
use crate::{lanes::Lanes, schema::Value, rpc::Caller, settings::*, stats::ServiceStats};
use wasmtime::component::{*, types::ComponentItem};
#[test]
fn poke() {
    let engine = GuestEngine::new().unwrap();
    eprintln!("pooled {}", engine.is_pooled());
    let path = std::env::var("POKE").unwrap();
    let t = Instant::now();
    let component = Component::from_file(engine.get(), path).unwrap();
    eprintln!("compile {:?}", t.elapsed());
    let lanes = Lanes::start(2.try_into().unwrap()).unwrap();
    let mut linker = imports::wasi(engine.get()).unwrap();
    imports::host(&mut linker, &component.component_type(), engine.get()).unwrap();
    let pre = linker.instantiate_pre(&component).unwrap();
    let i = "example:greeter/greet@0.1.0";
    let inst = component.get_export_index(None, i).unwrap();
    let ComponentItem::ComponentInstance(it) = component.component_type().get_export(engine.get(), i).unwrap().ty else { panic!() };
    let mut widths = vec![]; let mut exports = vec![];
    for f in ["hello", "welcome"] {
        exports.push(component.get_export_index(Some(&inst), f).unwrap());
        let ComponentItem::ComponentFunc(ft) = it.get_export(engine.get(), f).unwrap().ty else { panic!() };
        widths.push(Width::of(&ft));
    }
    eprintln!("{widths:?}");
    let pool = Pool::new(Parts { name: "greeter".into(), pre, exports, limits: Limits::default(), grants: Grants::default(), isolation: Isolation::Shared, lanes: lanes.clone(), stats: Arc::new(ServiceStats::default()) });
    let targets: Vec<_> = (0..2).map(|e| Arc::new(Target { service: "s".into(), method: "m".into(), export: e, exclusive: false })).collect();
    let go = { let pool = pool.clone(); let widths = widths.clone(); let targets = targets.clone(); move |e: usize, args: Vec<Value>| {
        let (call, rx) = Call::new(targets[e].clone(), Default::default(), Caller::default(), Instant::now() + Duration::from_secs(5));
        pool.submit(Job { call, args, width: widths[e] }).unwrap();
        rx
    }};
    let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    eprintln!("{:?}", rt.block_on(go(0, vec![Value::String("World".into())])));
    eprintln!("{:?}", rt.block_on(go(0, vec![Value::String("".into())])));
    eprintln!("{:?}", rt.block_on(go(1, vec![Value::Record(vec![Value::String("Ana".into()), Value::Variant(1, Some(Box::new(Value::String("de".into()))))])])));
    let h = lanes.spawn_on(0, async move {
        for conc in [1usize, 32] {
        let t = Instant::now();
        let n = 20000;
        for _ in 0..n / conc {
            let v: Vec<_> = (0..conc).map(|_| go(1, vec![Value::Record(vec![Value::String("Ana".into()), Value::Variant(1, Some(Box::new(Value::String("de".into()))))])])).collect();
            for r in v { r.await.unwrap().unwrap(); }
        }
        eprintln!("{conc}: {:?} per call", t.elapsed() / n as u32);
        }
    });
    rt.block_on(h).unwrap();
    eprintln!("instances {:?}", pool.stats());
}
