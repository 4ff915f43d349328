;; Loops for ever while it is started, before it could be called: `test:start/start@0.1.0`, method `Ok`.
(component
  (core module $module
    (func $start
      (loop $again (br $again)))
    (start $start)
    (func (export "ok") (result i32) (i32.const 1)))
  (core instance $core (instantiate $module))
  (func $ok (result u32) (canon lift (core func $core "ok")))
  (instance $start (export "ok" (func $ok)))
  (export "test:start/start@0.1.0" (instance $start)))
