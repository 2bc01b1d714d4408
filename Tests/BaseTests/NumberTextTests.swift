// SPDX-License-Identifier: Apache-2.0
// Numbers, durations and times as text.

import Base
import Testing

@Suite struct NumberTextTests {
    @Test func samplesPrintAsPrometheusDoes() {
        let cases: [(Double, String)] = [
            (0, "0"), (-0.0, "-0"), (1, "1"), (-12, "-12"), (0.1, "0.1"), (1e20, "1" + zeros(20)),
            (1e21, "1e+21"), (1.5e-7, "1.5e-07"), (0.000001, "0.000001"), (123.456, "123.456"),
            (.nan, "NaN"), (.infinity, "+Inf"), (-.infinity, "-Inf"), (1e100, "1e+100"),
            (.leastNonzeroMagnitude, "5e-324"), (1_234_567_890_123_456_768, "1234567890123456800"),
        ]
        for (value, text) in cases { #expect(floatText(value) == text) }
    }

    private func zeros(_ n: Int) -> String { String(repeating: "0", count: n) }

    @Test func generalFormSwitchesAtTheSeventhDigit() {
        let cases: [(Double, Int?, String)] = [
            (100_000, nil, "100000"), (1_000_000, nil, "1e+06"), (0.0001, nil, "0.0001"),
            (0.00001, nil, "1e-05"), (1.5, nil, "1.5"), (12.7, 2, "13"), (99.9, 2, "1e+02"),
            (0.123, 2, "0.12"), (5, 2, "5"),
        ]
        for (value, digits, text) in cases {
            #expect(floatGeneralText(value, digits: digits) == text)
        }
        #expect(fixedText(9_223_372_036_854_775_808, decimals: 3) == "9223372036854775808.000")
        #expect(fixedText(-1.0625, decimals: 2) == "-1.06")
        #expect(fixedText(0.999, decimals: 2) == "1.00")
        #expect(fixedText(0.004, decimals: 2) == "0.00")
        #expect(fixedText(0.006, decimals: 2) == "0.01")
        #expect(floatPlainText(1e22) == "1" + zeros(22))
    }

    @Test func quotesAndUnquotesLikeGo() {
        #expect(quotedText("a\"b\\c\n\u{1}é\u{200b}") == #""a\"b\\c\n\x01é\u200b""#)
        let cases: [(String, String?)] = [
            (#""a\n\x41\101\u00e9""#, "a\nAAé"), (#"'it\'s'"#, "it's"), (#"`a\n`"#, #"a\n"#),
            (#""a\q""#, nil), (#""a"#, nil), (#""\'""#, nil),
        ]
        for (text, expected) in cases {
            let bytes = unquotedBytes(text.utf8)
            #expect(bytes.map { String(decoding: $0, as: UTF8.self) } == expected, "\(text)")
        }
    }

    @Test func durationsReadAndPrint() throws {
        let cases: [(String, Int64, String)] = [
            ("5m", 300_000, "5m"), ("1h30m", 5_400_000, "1h30m"), ("250ms", 250, "250ms"),
            ("0", 0, "0s"), ("90d", 90 * 86_400_000, "90d"), ("14d", 14 * 86_400_000, "2w"),
            ("1y", 365 * 86_400_000, "1y"), ("1m30ms", 60_030, "1m30ms"),
        ]
        for (text, millis, printed) in cases {
            #expect(try parseDurationMillis(text) == millis)
            #expect(durationText(millis: millis) == printed)
        }
        for text in ["", "5", "m", "1m1h", "5x", "-5m", "99999999999y", "1h1h"] {
            #expect(throws: DurationTextError.self) { try parseDurationMillis(text) }
        }
        #expect(durationText(millis: -90_000) == "-1m30s")
    }

    @Test func timesReadAndPrint() throws {
        #expect(try parseTimeMillis("1435781430.7811") == 1_435_781_430_781)
        #expect(try parseTimeMillis("2015-07-01T20:10:30.781Z") == 1_435_781_430_781)
        #expect(try parseTimeMillis("2015-07-01T22:10:30.781+02:00") == 1_435_781_430_781)
        #expect(try parseTimeMillis("-1.5") == -1500)
        #expect(try parseTimeNanos("1435781430") == 1_435_781_430_000_000_000)
        #expect(try parseTimeNanos("1435781430781000123") == 1_435_781_430_781_000_123)
        #expect(try parseTimeNanos("1435781430.5") == 1_435_781_430_500_000_000)
        #expect(try parseTimeNanos("1970-01-01T00:00:00.000000001Z") == 1)
        for text in ["", "x", "2015-02-30T00:00:00Z", "2015-07-01", "1e400", "nan"] {
            #expect(throws: TimeTextError.self) { try parseTimeMillis(text) }
            #expect(throws: TimeTextError.self) { try parseTimeNanos(text) }
        }
        #expect(rfc3339Text(millis: 1_435_781_430_780) == "2015-07-01T20:10:30.78Z")
        #expect(rfc3339Text(nanos: -1) == "1969-12-31T23:59:59.999999999Z")
        var out: [UInt8] = []
        appendSeconds(millis: -1050, into: &out)
        #expect(String(decoding: out, as: UTF8.self) == "-1.050")
    }

    @Test func civilTimeRoundTrips() {
        for day in stride(from: Int64(-800_000), to: 800_000, by: 977) {
            let time = CivilTime(unixSeconds: day * 86_400 + 3661)
            #expect(CivilTime.days(year: time.year, month: time.month, day: time.day) == day)
            #expect((time.hour, time.minute, time.second) == (1, 1, 1))
        }
        #expect(CivilTime.weekday(unixSeconds: 0) == 4)
        #expect(CivilTime(unixSeconds: 951_782_400).dayOfYear == 60)
    }
}
