;; An allocator that never returns, for what the host answers instead of what it passes:
;; `test:result/result@0.1.0`, method `Loops`, asks for random bytes. Rust has an allocator of its own.
(component
  (import "wasi:random/random@0.2.0" (instance $random
    (export "get-random-bytes" (func (param "len" u64) (result (list u8))))))
  (core module $memory_module
    (memory (export "memory") 1)
    (func (export "loops") (param i32 i32 i32 i32) (result i32)
      (loop $again (br $again))
      unreachable))
  (core instance $libc (instantiate $memory_module))
  (core func $get (canon lower (func $random "get-random-bytes")
    (memory (core memory $libc "memory")) (realloc (func $libc "loops"))))
  (core module $module
    (import "host" "get" (func $get (param i64 i32)))
    (func (export "loops")
      (call $get (i64.const 16) (i32.const 0))))
  (core instance $core (instantiate $module
    (with "host" (instance (export "get" (func $get))))))
  (func $loops
    (canon lift (core func $core "loops")))
  (instance $result (export "loops" (func $loops)))
  (export "test:result/result@0.1.0" (instance $result)))
