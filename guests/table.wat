;; Grows a table: `test.table.Table`, method `Grow`. {"elements":1000} -> {"value":size before}, or -1
;; where it was refused. Rust has no way to say it.
(component
  (core module $module
    (table $table 1 funcref)
    (func (export "grow") (param $elements i32) (result i32)
      (table.grow $table (ref.null func) (local.get $elements))))
  (core instance $core (instantiate $module))
  (func $grow (param "elements" u32) (result s32)
    (canon lift (core func $core "grow")))
  (instance $table (export "grow" (func $grow)))
  (export "test:table/table@0.1.0" (instance $table)))
