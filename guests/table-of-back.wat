;; Has the interface of `table.wat`, and gets its answers from `test:back/back`, which it imports:
;; {"elements":7} -> {"value":8}.
(component
  (import "test:back/back@1.2.0" (instance $back
    (export "add" (func (param "a" u32) (param "b" u32) (result u32)))))
  (alias export $back "add" (func $add))
  (core func $add (canon lower (func $add)))
  (core module $module
    (import "back" "add" (func $add (param i32 i32) (result i32)))
    (func (export "grow") (param $elements i32) (result i32)
      (call $add (local.get $elements) (i32.const 1))))
  (core instance $core (instantiate $module (with "back" (instance (export "add" (func $add))))))
  (func $grow (param "elements" u32) (result s32)
    (canon lift (core func $core "grow")))
  (instance $table (export "grow" (func $grow)))
  (export "test:table/table@0.1.0" (instance $table)))
