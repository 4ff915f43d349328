;; Sleeps for an hour while it is started: `test:sleep/sleep@0.1.0`, method `Ok`.
(component
  (import "wasi:io/poll@0.2.0" (instance $poll
    (export "pollable" (type $pollable (sub resource)))
    (export "[method]pollable.block" (func (param "self" (borrow $pollable))))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (export "pollable" (type $timer (eq $pollable)))
    (export "subscribe-duration" (func (param "when" u64) (result (own $timer))))))
  (core func $block (canon lower (func $poll "[method]pollable.block")))
  (core func $subscribe (canon lower (func $clock "subscribe-duration")))
  (core module $module
    (import "host" "block" (func $block (param i32)))
    (import "host" "subscribe" (func $subscribe (param i64) (result i32)))
    (func $start
      (call $block (call $subscribe (i64.const 3600000000000))))
    (start $start)
    (func (export "ok") (result i32) (i32.const 1)))
  (core instance $core (instantiate $module
    (with "host" (instance (export "block" (func $block)) (export "subscribe" (func $subscribe))))))
  (func $ok (result u32) (canon lift (core func $core "ok")))
  (instance $sleep (export "ok" (func $ok)))
  (export "test:sleep/sleep@0.1.0" (instance $sleep)))
