// SPDX-License-Identifier: Apache-2.0
// Syslog's framing and both of its formats.

import Base
import Telemetry
import Testing

@testable import Wire

/// 2023-11-14T22:13:20Z.
private let arrival: Int64 = 1_700_000_000_000_000_000

private func decode(
    _ message: String, now: Int64 = arrival, offset: Int = 0
) throws -> [String] {
    var options = Syslog.Options(nowNanos: now)
    options.offsetSeconds = offset
    let bytes = Array(message.utf8)
    let got = try bytes.withUnsafeBytes {
        try Syslog.decode($0, messages: [0..<bytes.count], options)
    }
    #expect(got.rejectedRows == 0, "\(got.message)")
    return describe(got.batch)
}

@Suite struct SyslogTests {
    @Test func theNewerFormat() throws {
        #expect(
            try decode(
                "<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog 42 ID47 "
                    + #"[exampleSDID@32473 iut="3" eventSource="A \"p\" \] \\ \x"][other a="" b="1"] "#
                    + "\u{feff}An event") == [
                    #"{app_name="evntslog", hostname="mymachine.example.com", job="syslog", service_name="evntslog"} "#
                        + #"1065910455003000000 An event {detected_level="info", exampleSDID_32473_eventSource="A \"p\" ] \\ \\x", "#
                        + #"exampleSDID_32473_iut="3", facility="local4", msg_id="ID47", other_b="1", proc_id="42", severity="notice"}"#
                ])
        #expect(
            try decode("<11>1 - - - - - -") == [
                #"{job="syslog", service_name="syslog"} \#(arrival)  {detected_level="error", facility="user", severity="err"}"#
            ])
        // A header that is none: the whole is the line.
        for bad in ["1 soon h a p m - x", "1 - h a p m [x", "1 - h a p m ]x"] {
            #expect(try decode("<8>" + bad).first?.contains(" \(bad) {") == true, "\(bad)")
        }
    }

    @Test func theOlderFormat() throws {
        let metadata = #"{detected_level="info", facility="auth", proc_id="12", severity="notice"}"#
        let stream = #"{app_name="su", hostname="box", job="syslog", service_name="su"}"#
        #expect(
            try decode("<37>Nov 14 22:13:19 box su[12]: failed\n") == [
                "\(stream) \(arrival - 1_000_000_000) failed \(metadata)"
            ])
        #expect(
            try decode("<37>2023-11-14T23:13:19.000001+01:00 box su[12]: failed") == [
                "\(stream) \(arrival - 999_999_000) failed \(metadata)"
            ])
        // As logger writes to a local socket: no host.
        #expect(
            try decode("<37>Nov 14 22:13:20 su[12]: failed").first?.hasPrefix(
                #"{app_name="su", job="syslog", service_name="su"} \#(arrival) failed"#) == true)
        #expect(
            try decode("<37>Nov 14 22:13:20 box no tag: here").first?.contains(
                #"{hostname="box", job="syslog", service_name="syslog"} \#(arrival) no tag: here {"#
            )
                == true)
        #expect(
            try decode("just text")
                == [
                    #"{job="syslog", service_name="syslog"} \#(arrival) just text {}"#
                ].map { $0.replacing(" {}", with: " " + Labels(canonical: []).description) })
    }

    @Test func theYearIsTheNearest() throws {
        func time(_ text: String, now: Int64, offset: Int = 0) throws -> String? {
            try decode("<13>\(text) h t: m", now: now, offset: offset).first?
                .split(separator: "} ")[1].split(separator: " ").first.map(String.init)
        }
        // 2024-01-01T00:00:30Z and 2023-12-31T23:59:30Z.
        let after: Int64 = 1_704_067_230_000_000_000, before: Int64 = 1_704_067_170_000_000_000
        #expect(try time("Dec 31 23:59:30", now: after) == "\(before)")
        #expect(try time("Jan  1 00:00:30", now: before) == "\(after)")
        #expect(try time("Jan  1 2020 00:00:30", now: before) == "1577836830000000000")
        #expect(try time("Feb 29 00:00:00", now: after) == "1709164800000000000")
        #expect(
            try time("Jan  1 01:00:30.5", now: before, offset: 3600) == "\(after + 500_000_000)")
    }

    @Test func framesOfAStream() {
        func frames(
            _ text: String, isAtEnd: Bool = false
        ) -> ([String], rest: String, SyslogFraming.Step) {
            let bytes = Array(text.utf8)
            return bytes.withUnsafeBytes { all in
                var found: [String] = [], start = 0
                while true {
                    let step = SyslogFraming.next(in: all, from: start, isAtEnd: isAtEnd, limit: 50)
                    guard case .message(let range, let next) = step else {
                        return (found, String(decoding: all[start...], as: UTF8.self), step)
                    }
                    found.append(String(decoding: all[range], as: UTF8.self))
                    start = next
                }
            }
        }
        let mixed = frames("<1>a\n\r\n6 <1>b\nc7 <1>d\n\ne<1>e\u{0}12 lines\n7 <1>f")
        #expect(mixed.0 == ["<1>a", "<1>b\nc", "<1>d\n\ne", "<1>e", "12 lines"])
        #expect(mixed.rest == "7 <1>f" && mixed.2 == .incomplete)
        #expect(frames("12", isAtEnd: true).0 == ["12"])
        #expect(
            frames("99 <1>").2 == .tooLong
                && frames(String(repeating: "x", count: 60)).2 == .tooLong)
        #expect(frames("9 <1>tail", isAtEnd: true).0 == ["<1>tail"])
    }

    @Test func damageNeverCrashes() throws {
        var rows = 0
        for seed in [
            #"<165>1 2003-10-11T22:14:15.003Z h a 42 ID47 [x@1 iut="3" e="A \" \] \\"][o b="1"] text"#,
            "<37>Nov 14 22:13:19 box su[12]: failed", "<37>Jan  1 2020 01:02:03.25: box t: m",
        ] {
            let framed = Array("\(seed.utf8.count) \(seed)\(seed)\n".utf8)
            mutate(framed, rounds: 4000) { bytes in
                bytes.withUnsafeBytes { all in
                    var messages = [0..<all.count], start = 0
                    while case .message(let range, let next) = SyslogFraming.next(
                        in: all, from: start, isAtEnd: true, limit: 1000)
                    {
                        messages.append(range)
                        start = next
                    }
                    let got = try? Syslog.decode(
                        all, messages: messages, Syslog.Options(nowNanos: arrival))
                    rows += got?.batch.rowCount ?? 0
                }
            }
        }
        #expect(rows > 10_000)
    }
}
