;; Has the interface of `table.wat`, and traps whenever an instance of it begins.
(component
  (core module $module
    (table $table 1 funcref)
    (func $begin unreachable)
    (start $begin)
    (func (export "grow") (param $elements i32) (result i32)
      (table.grow $table (ref.null func) (local.get $elements))))
  (core instance $core (instantiate $module))
  (func $grow (param "elements" u32) (result s32)
    (canon lift (core func $core "grow")))
  (instance $table (export "grow" (func $grow)))
  (export "test:table/table@0.1.0" (instance $table)))
