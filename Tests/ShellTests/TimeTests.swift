// SPDX-License-Identifier: Apache-2.0
// Times as people type them.

import Base
import Testing

@testable import Shell

/// 2026-11-30T18:00:00Z, a Monday.
private let now: Int64 = 1_796_061_600_000_000_000
private let hour: Int64 = 3_600_000_000_000
private let day: Int64 = 24 * hour

private func window(_ text: String, _ zone: ShownZone = .utc) throws -> TimeWindow {
    try TimeGrammar(nowNanos: now, zone: zone).window(text)
}

@Test func stretchesOfTime() throws {
    let midnight = now - 18 * hour
    let cases: [(String, TimeWindow)] = [
        ("1h", .last(seconds: 3600)), ("last 90m", .last(seconds: 5400)),
        ("now-1h", .fixed(startNanos: now - hour, endNanos: now)),
        ("1h ago", .fixed(startNanos: now - hour, endNanos: now)),
        ("since 15:00", .fixed(startNanos: midnight + 15 * hour, endNanos: now)),
        ("today", .fixed(startNanos: midnight, endNanos: now)),
        ("yesterday", .fixed(startNanos: midnight - day, endNanos: midnight)),
        (
            "today 10:00..11:30",
            .fixed(startNanos: midnight + 10 * hour, endNanos: midnight + 11 * hour + hour / 2)
        ),
        (
            "yesterday 23:00..today 01:00",
            .fixed(startNanos: midnight - hour, endNanos: midnight + hour)
        ),
        ("2026-11-24", .fixed(startNanos: midnight - 6 * day, endNanos: midnight - 5 * day)),
        (
            "2026-11-24T10:00Z..+15m",
            .fixed(
                startNanos: midnight - 6 * day + 10 * hour,
                endNanos: midnight - 6 * day + 10 * hour + hour / 4)
        ),
        ("now-2h..now-1h", .fixed(startNanos: now - 2 * hour, endNanos: now - hour)),
        ("now-2h..", .fixed(startNanos: now - 2 * hour, endNanos: now)),
        (
            "2026-11-30T10:00:00+02:00..2026-11-30T09:00:00Z",
            .fixed(startNanos: midnight + 8 * hour, endNanos: midnight + 9 * hour)
        ),
        ("1796054400..1796058000", .fixed(startNanos: now - 2 * hour, endNanos: now - hour)),
    ]
    for (text, expected) in cases { #expect(try window(text) == expected, "\(text)") }
}

@Test func wrongTimesAreRefused() {
    for text in [
        "", "soon", "now-", "now-x", "25:00", "2026-13-01", "2026-02-30", "now..now-1h", "0s",
        "..", "tomorrow", "today 99:00", "10:00..09:00",
    ] {
        #expect(throws: ShellError.self, "\(text)") { try window(text) }
    }
}

@Test func clockTimesAreOfTheZone() throws {
    let zone = try ShownZone("+02:00")
    // 10:00 at +02:00 is 08:00 UTC.
    #expect(
        try window("today 10:00..11:00", zone)
            == .fixed(startNanos: now - 10 * hour, endNanos: now - 9 * hour))
    #expect(zone.text(nanos: now, digits: 0) == "2026-11-30T20:00:00+02:00")
    #expect(ShownZone.utc.text(nanos: now, digits: 3) == "2026-11-30T18:00:00.000Z")
    #expect(throws: ShellError.self) { try ShownZone("../etc/passwd") }
    #expect(throws: ShellError.self) { try ShownZone("Nowhere/Town") }
}

@Test func timesOfAnyTextNeverTrap() {
    var random = SplitMix64(seed: 7)
    let pieces = [
        "now", "-", "+", "1h", "..", " ago", "today", "T", "Z", ":", "99", "since ", "10:00",
        "9223372036854775807", "1e308", "-1", "2026-11-24", " ", "日",
    ]
    for _ in 0..<3000 {
        let text = (0..<Int(random.next() % 6)).map { _ in
            pieces[Int(random.next() % UInt64(pieces.count))]
        }.joined()
        if let window = try? window(text) { _ = window.bounds(nowNanos: now) }
        _ = try? TimeGrammar(nowNanos: now).moment(text)
    }
}

@Test func promptsShowModeRangeAndStep() throws {
    var state = PromptState(ShellOptions(client: ShellClient(url: "x")))
    state.nowNanos = now
    #expect(state.promptText(.plain).plain == "tern [1h]> ")
    #expect(try state.apply(.metricsMode, "") == "")
    #expect(try state.apply(.range, "6h") == "")
    #expect(state.promptText(.plain).plain == "metrics [6h step auto]> ")
    #expect(try state.apply(.step, "15s") == "")
    #expect(try state.apply(.since, "yesterday 10:00..11:00") == "")
    #expect(state.promptText(.plain).plain == "metrics [11-29 10:00..11:00 step 15s]> ")
    #expect(throws: ShellError.self) { try state.apply(.limit, "-1") }
    #expect(throws: ShellError.self) { try state.apply(.output, "pretty") }
    #expect(try state.apply(.output, "./x.txt") == "")
    #expect(state.outputPath == "./x.txt")
    #expect(try state.apply(.vertical, "") == "rows as blocks: on\n")
    #expect(try state.apply(.timing, "") == "timing: on\n")
    #expect(try state.apply(.trace, "abc") == nil)
}
