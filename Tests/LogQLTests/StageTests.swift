// SPDX-License-Identifier: Apache-2.0
// Stages over single lines, damaged ones included.

import Base
import Telemetry
import Testing

@testable import LogQL

@Suite struct StageTests {
    /// Labels of a line behind a pipeline, or nil when it was dropped.
    private func labels(
        _ pipeline: String, _ line: [UInt8], stream: Labels = Labels([("app", "x")])
    ) throws -> [String: String]? {
        let selector = try LogQLParser.parseLogQuery(#"{app="x"} "# + pipeline)
        let compiled = try Pipeline(selector.stages, nowNanos: 0)
        return stream.bytes.withUnsafeBytes { labels in
            line.withUnsafeBytes { bytes -> [String: String]? in
                compiled.state.begin(
                    line: bytes, nanos: 0, streamLabels: labels, metadata: .nothing)
                guard compiled.keeps() else { return nil }
                var found: [String: String] = [:]
                for pair in compiled.state.labels().pairs where pair.name != "app" {
                    found[pair.name] = pair.value
                }
                return found
            }
        }
    }

    private func labels(_ pipeline: String, _ line: String) throws -> [String: String]? {
        try labels(pipeline, Array(line.utf8))
    }

    @Test func jsonBecomesLabels() throws {
        let line =
            #" {"a":"x\ny","b":{"c":1.50,"d":{"e":true}},"f":null,"g":[1],"h i":"\u00e9\ud83d\ude00","1":2,"a":"second"}"#
        #expect(
            try labels("| json", line) == [
                "a": "x\ny", "b_c": "1.50", "b_d_e": "true", "h_i": "é😀", "_1": "2",
            ])
        #expect(try labels("| json", "[1]")?["__error__"] == "JSONParserErr")
        #expect(try labels("| json", #"{"a":1"#)?["__error__"] == "JSONParserErr")
        #expect(
            try labels(
                #"| json x="b.c", y="g[1]", z="b['d']", none="q""#,
                #"{"b":{"c":"v","d":{"k":1}},"g":[1,"two"]}"#)
                == ["x": "v", "y": "two", "z": #"{"k":1}"#, "none": ""])
    }

    @Test func logfmtBecomesLabels() throws {
        #expect(
            try labels("| logfmt", #"a=1 b="two \"words\"" c= d e=5 a=9"#)
                == ["a": "1", "b": #"two "words""#, "e": "5"])
        #expect(
            try labels("| logfmt --keep-empty", "a=1 c= d")
                == ["a": "1", "c": "", "d": ""])
        #expect(try labels(#"| logfmt x="a", y"#, "a=1 b=2") == ["x": "1", "y": ""])
        #expect(try labels("| logfmt --strict", #"a="x"#)?["__error__"] == "LogfmtParserErr")
    }

    @Test func patternsCapture() throws {
        #expect(
            try labels(
                #"| pattern "<ip> - [<_>] \"<method> <path>\"""#, #"1.2.3.4 - [now] "GET /x""#)
                == ["ip": "1.2.3.4", "method": "GET", "path": "/x"])
        #expect(try labels(#"| pattern "start <x>""#, "other line") == [:])
    }

    @Test func addressesAreFoundInText() throws {
        for (pattern, line, expected) in [
            ("10.0.0.0/8", "from 10.9.8.7:443, ok", true), ("10.0.0.0/8", "110.9.8.7", false),
            ("10.0.0.0/8", "v10.9.8", false), ("1.2.3.4", "<1.2.3.4>.", true),
            ("1.2.3.4-1.2.3.9", "1.2.3.10", false), ("2001:db8::/32", "[2001:db8::42]:80", true),
            ("::ffff:0:0/96", "::ffff:1.2.3.4", true), ("::1", "::2", false),
        ] {
            let found = try labels("|= ip(\"\(pattern)\")", line) != nil
            #expect(found == expected, "\(pattern) in \(line)")
        }
    }

    @Test func byteSizesAreRead() {
        for (text, bytes) in [
            ("1", 1), ("1B", 1), ("2kB", 2000), ("2KiB", 2048), ("1.5mb", 1_500_000),
            ("3 GB", 3_000_000_000),
        ] as [(String, Int64)] {
            #expect(ByteSize.parse(text) == bytes, "\(text)")
        }
        for text in ["", "B", "x", "1x", "1ib", "-1kB"] {
            #expect(ByteSize.parse(text) == nil, "\(text)")
        }
    }

    @Test func templatesRun() throws {
        for (template, expected) in [
            (#"{{if eq .a "1"}}one{{else if .b}}b{{else}}none{{end}}"#, "one"),
            (#"{{range $i, $x := fromJson "[\"p\",\"q\"]"}}{{$i}}={{$x}};{{end}}"#, "0=p;1=q;"),
            (#"{{- " x " -}}  tail"#, " x tail"), (#"{{with .missing}}x{{else}}y{{end}}"#, "y"),
            (#"{{printf "%05.1f|%-4s|%x|%q" 3.14159 "ab" 255 "q"}}"#, #"003.1|ab  |ff|"q""#),
            (#"{{/* nothing */}}{{len "äb"}}"#, "3"), (#"{{ $x := add 1 2 }}{{ mul $x 2 }}"#, "6"),
            (#"{{ regexReplaceAll "(a)(b)" "abab" "${2}$1" }}"#, "baba"),
            (
                #"{{ unixToTime "1700000000" | date "2006-01-02T15:04:05Z07:00" }}"#,
                "2023-11-14T22:13:20Z"
            ),
            (#"{{ and .a .missing | len }}"#, "0"), (#"{{ 1000000.0 }} {{ 0.5 }}"#, "1e+06 0.5"),
        ] {
            let parsed = try Template(template, name: "t")
            let text = try TemplateEvaluator.run(
                parsed,
                TemplateScope(
                    label: { ["a": "1", "b": "2"][$0] }, labels: { [] }, line: { "line" },
                    lineNanos: 0, nowNanos: 0))
            #expect(text == expected, "\(template)")
        }
    }

    @Test func templatesAreBounded() throws {
        for template in [
            #"{{ repeat 9000000 "x" }}"#, "{{range 100000}}{{range 100000}}x{{end}}{{end}}",
            "{{range 99999999}}x{{end}}", "{{ div 1 0 }}",
        ] {
            #expect(throws: TemplateError.self, "\(template)") {
                try TemplateEvaluator.run(
                    try Template(template, name: "t"),
                    TemplateScope(
                        label: { _ in nil }, labels: { [] }, line: { "" }, lineNanos: 0, nowNanos: 0
                    ))
            }
        }
    }

    @Test func damagedLinesNeverHurt() throws {
        let stages = [
            "| json", #"| json a="b.c[0]""#, "| logfmt", "| logfmt --strict", "| unpack",
            "| decolorize",
            #"| pattern "<a> <b>""#, #"| regexp "(?P<x>.+)""#, #"|= ip("::/0")"#, #"|> "<_> <_>""#,
            #"| line_format "{{ __line__ | urldecode }}{{ __line__ | b64dec }}""#,
        ]
        var state: UInt64 = 5
        func random(_ bound: UInt64) -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return (state >> 33) % bound
        }
        let alphabet = Array(#"{}[]":,\u12ab=<> -.%"#.utf8) + [0, 10, 0x1b, 0x5b, 0xff, 0xc3]
        for _ in 0..<400 {
            let line = (0..<random(40)).map { _ in alphabet[Int(random(UInt64(alphabet.count)))] }
            for stage in stages { _ = try labels(stage, line) }
        }
    }
}
