;; Makes handles of a resource of its own without end, and drops none: `test:resources/resources@0.1.0`,
;; methods `Make` and `Ok`. Rust would have to keep something behind each of them.
(component
  (type $resource (resource (rep i32)))
  (core func $new (canon resource.new $resource))
  (core module $module
    (import "host" "new" (func $new (param i32) (result i32)))
    (func (export "make")
      (loop $again
        (drop (call $new (i32.const 0)))
        (br $again)))
    (func (export "ok") (result i32) (i32.const 1)))
  (core instance $core (instantiate $module
    (with "host" (instance (export "new" (func $new))))))
  (func $make (canon lift (core func $core "make")))
  (func $ok (result u32) (canon lift (core func $core "ok")))
  (instance $resources (export "make" (func $make)) (export "ok" (func $ok)))
  (export "test:resources/resources@0.1.0" (instance $resources)))
