// SPDX-License-Identifier: Apache-2.0
// Places in code, as spans and log lines name them.

import Base
import Correlation
import Telemetry
import Testing

@Suite struct CodeLocationTests {
    private func text(_ code: CodeLocation?) -> String {
        guard let code else { return "nil" }
        return "\(code.file ?? "-") \(code.line.map(String.init) ?? "-") \(code.function ?? "-")"
    }

    @Test func attributesOfSpans() {
        let cases: [(attributes: [(key: String, value: AttributeValue)], expected: String)] = [
            (
                [
                    ("code.file.path", .string("a.go")), ("code.line.number", .int(12)),
                    ("code.function.name", .string("main.f")),
                ], "a.go 12 main.f"
            ),
            (
                [
                    ("code.filepath", .string("A.java")), ("code.lineno", .int(7)),
                    ("code.namespace", .string("com.x.A")), ("code.function", .string("g")),
                ],
                "A.java 7 com.x.A.g"
            ),
            (
                [("code.namespace", .string("com.x.A")), ("code.function", .string("com.x.A.g"))],
                "- - com.x.A.g"
            ),
            ([("code.filepath", .string("a.py")), ("code.lineno", .string("3"))], "a.py 3 -"),
            ([("code.file.path", .string("new")), ("code.filepath", .string("old"))], "new - -"),
            ([("code.line.number", .int(3))], "nil"),
            ([("code.stacktrace", .string("at a.B.c(B.java:5)"))], "B.java 5 a.B.c"),
            ([("exception.stacktrace", .string("X: y\n\tat a.B.c(B.java:5)"))], "B.java 5 a.B.c"),
            ([("code.file.path", .bool(true)), ("http.route", .string("/a:12"))], "nil"),
            ([], "nil"),
        ]
        for (attributes, expected) in cases {
            let code = CodeLocation(spanAttributes: attributes, events: [])
            #expect(text(code) == expected, "\(attributes)")
        }
    }

    @Test func exceptionsOfSpans() {
        var attributes = ByteWriter()
        AttributeCoding.encode(
            "exception.stacktrace", .string("Error: no\n    at pay (/app/pay.js:10:5)"),
            into: &attributes)
        func event(_ bytes: [UInt8]) -> SpanEvent {
            SpanEvent(nanos: 1, name: "exception", droppedAttributes: 0, attributes: bytes)
        }
        let code = CodeLocation(
            spanAttributes: [], events: [event([]), event([1]), event(attributes.bytes)])
        #expect(text(code) == "/app/pay.js 10 pay")
        #expect(code?.raw == "pay (/app/pay.js:10:5)")
    }

    @Test func stackTraces() {
        let cases: [(trace: String, expected: String)] = [
            (
                """
                java.lang.IllegalStateException: empty cart
                \tat com.shop.Cart.checkout(Cart.java:42)
                \tat com.shop.Main.main(Main.java:7)
                Caused by: java.lang.NullPointerException
                \tat com.shop.Db.get(Db.java:1)
                """, "Cart.java 42 com.shop.Cart.checkout"
            ),
            (
                """
                java.lang.NullPointerException
                \tat java.base/java.util.Objects.requireNonNull(Objects.java:233)
                \tat app//com.shop.Cart.<init>(Cart.java:9)
                """, "Cart.java 9 com.shop.Cart.<init>"
            ),
            (
                "\tat java.base/java.lang.Thread.run(Thread.java:1583)",
                "Thread.java 1583 java.lang.Thread.run"
            ),
            ("\tat a.B.c(Native Method)\n\tat a.B.d(B.java:3)", "B.java 3 a.B.d"),
            (
                """
                Traceback (most recent call last):
                  File "/app/main.py", line 10, in <module>
                    run()
                  File "/app/cart.py", line 33, in add
                    raise ValueError("no")
                  File "/usr/lib/python3/site-packages/x.py", line 1, in y
                ValueError: no
                """, "/app/cart.py 33 add"
            ),
            (
                """
                panic: index out of range

                goroutine 1 [running]:
                panic({0x1, 0x2})
                \t/usr/local/go/src/runtime/panic.go:884 +0x212
                main.(*Cart).Add(0xc0000b2000)
                \t/app/cart.go:17 +0x1d
                main.main()
                \t/app/main.go:9 +0x1d
                """, "/app/cart.go 17 main.(*Cart).Add"
            ),
            (
                """
                TypeError: x is not a function
                    at node:internal/process/task_queues:95:5
                    at /app/node_modules/express/lib/router.js:3:1
                    at async Cart.add (file:///app/cart.js:12:34)
                """, "file:///app/cart.js 12 Cart.add"
            ),
            ("Error\n    at /app/a.js:1:2", "/app/a.js 1 -"),
            (
                """
                System.InvalidOperationException: no
                   at System.Linq.Enumerable.First[T](IEnumerable`1 s)
                   at Shop.Cart.Add(Item item) in /src/Cart.cs:line 21
                """, "/src/Cart.cs 21 Shop.Cart.Add"
            ),
            (
                "app/cart.rb:12:in `add': no (RuntimeError)\n\tfrom app/main.rb:3:in `<main>'",
                "app/cart.rb 12 add"
            ),
            (
                "#0 /var/www/cart.php(12): Cart->add(1)\n#1 {main}",
                "/var/www/cart.php 12 Cart->add"
            ),
            (
                "   4: shop::cart::add\n             at ./src/cart.rs:8:5",
                "./src/cart.rs 8 shop::cart::add"
            ),
            ("nothing here", "nil"), ("", "nil"), ("at ", "nil"), ("at (", "nil"),
            ("at )", "nil"), ("File \"", "nil"), ("#", "nil"), ("at x in y:line z", "nil"),
            ("at :line 5 in x", "nil"), ("#0 ): (", "nil"), (".go:", "nil"),
        ]
        for (trace, expected) in cases {
            #expect(text(topFrame(ofStackTrace: trace)) == expected, "\(trace)")
        }
    }

    @Test func logLines() {
        let none = Labels.empty
        let cases: [(line: String, metadata: Labels, expected: String)] = [
            ("x", Labels([("code_filepath", "a.py"), ("code_lineno", "3")]), "a.py 3 -"),
            (
                "x",
                Labels([
                    ("code_file_path", "a.py"), ("code_line_number", "4"),
                    ("code_function_name", "f"),
                ]), "a.py 4 f"
            ),
            ("x", Labels([("code.function", "f"), ("code.namespace", "n")]), "- - n.f"),
            ("x", Labels([("exception_stacktrace", "E\n\tat a.B.c(B.java:5)")]), "B.java 5 a.B.c"),
            (
                "x",
                Labels([
                    ("code_file_path", "/v/site-packages/flask/app.py"), ("code_line_number", "4"),
                    (
                        "exception_stacktrace",
                        "Traceback (most recent call last):\n"
                            + "  File \"/v/site-packages/flask/app.py\", line 917, in dispatch\n"
                            + "  File \"/shop/cart.py\", line 98, in discounted\nKeyError: 'percent'"
                    ),
                ]), "/shop/cart.py 98 discounted"
            ),
            (
                "x",
                Labels([
                    ("code_file_path", "a.py"), ("code_line_number", "4"),
                    (
                        "exception_stacktrace",
                        "  File \"/v/site-packages/flask/app.py\", line 917, in dispatch"
                    ),
                ]), "a.py 4 -"
            ),
            ("ts=1 caller=server.go:42 msg=hi", none, "server.go 42 -"),
            ("level=info source=\"/app/a b.go:7\" func=main.f", none, "/app/a b.go 7 main.f"),
            ("file=cart.rb lineno=9 x", none, "cart.rb 9 -"),
            (#"{"caller":"api/cart.go:12","msg":"hi"}"#, none, "api/cart.go 12 -"),
            (#"{"file":"/app/a.py","line":3,"funcName":"f"}"#, none, "/app/a.py 3 f"),
            (#"{"source":{"function":"main.f","file":"/a.go","line":8}}"#, none, "/a.go 8 main.f"),
            (#"{"logger":"com.x.Cart","line":5}"#, none, "com.x.Cart 5 -"),
            (
                #"{"log.origin":{"file":{"name":"A.java","line":2},"function":"g"}}"#, none,
                "A.java 2 g"
            ),
            (#"{"stack_trace":"E: x\n\tat a.B.c(B.java:5)"}"#, none, "B.java 5 a.B.c"),
            (#"{"err":{"stack":"E\n    at f (/a.js:1:2)"}}"#, none, "/a.js 1 f"),
            (
                #"{"log":"INFO u.c.UserController#48 TraceID: ab","stream":"stdout"}"#, none,
                "u.c.UserController 48 -"
            ),
            ("INFO u.c.UserController#48 TraceID: ab", none, "u.c.UserController 48 -"),
            ("INFO a.b.Cart#9 [result: status=1, msg=Success, data={n=1}]", none, "a.b.Cart 9 -"),
            ("ERROR o.a.C.[.[.[/].[front]#175 failed", none, "o.a.C.[.[.[/].[front] 175 -"),
            ("I1124 12:00:00.000000 1 main.go:12] started", none, "main.go 12 -"),
            ("2026-11-24 ERROR [cart.py:33] no", none, "cart.py 33 -"),
            ("boom\n\tat a.B.c(B.java:5)", none, "B.java 5 a.B.c"),
            (#"{"half":"json","caller":"a.go:1""#, none, "a.go 1 -"),
            ("GET http://10.0.0.1:80/x 200", none, "nil"), ("issue #48 is fixed", none, "nil"),
            ("", none, "nil"), ("a=", none, "nil"), ("=\"\\", none, "nil"), ("{", none, "nil"),
            ("a=\"b", none, "nil"), (":", none, "nil"), ("#", none, "nil"),
        ]
        for (line, metadata, expected) in cases {
            let code = CodeLocation(logLine: line, metadata: metadata, stream: .empty)
            #expect(text(code) == expected, "\(line)")
        }
        let stream = Labels([("code_filepath", "s.py")])
        #expect(
            text(CodeLocation(logLine: "x", metadata: .empty, stream: stream)) == "s.py - -")
    }

    /// Whatever comes, an answer comes back.
    @Test func noiseDoesNotTrap() {
        var random = TestRandom(state: 11)
        let pieces = [
            "at ", "(", ")", ":", "File \"", "\", line ", ", in ", "#0 ", "): ", ".go:1", " in ",
            ":line ", "\n", "\t", "{", "}", "\"", "=", "caller", "ü", "12", "99999999999999999999",
            "a.b", "Caused by:", "Traceback (most recent call last)", "\\", ",", "{\"a\":",
        ]
        for _ in 0..<5_000 {
            let noise = (0...random.below(12)).map { _ in pieces[random.below(pieces.count)] }
                .joined()
            _ = topFrame(ofStackTrace: noise)
            _ = CodeLocation(logLine: noise, metadata: .empty, stream: .empty)
        }
    }
}

struct TestRandom {
    var state: UInt64
    mutating func below(_ n: Int) -> Int {
        state ^= state &<< 13
        state ^= state &>> 7
        state ^= state &<< 17
        return Int(state % UInt64(n))
    }
}
