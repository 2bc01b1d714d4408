// SPDX-License-Identifier: Apache-2.0
// JSONReader: grammar, strings, numbers, limits, damage.

import Base
import Testing

/// Reads the whole text as one value.
private func check(_ text: [UInt8], maxDepth: Int = 64) throws {
    try text.withUnsafeBytes { bytes in
        var reader = JSONReader(bytes, maxDepth: maxDepth)
        try reader.skipValue()
        try reader.end()
    }
}

private func readString(_ text: String) throws -> [UInt8] {
    try Array(text.utf8).withUnsafeBytes { bytes in
        var reader = JSONReader(bytes)
        var out: [UInt8] = []
        try reader.string().append(to: &out)
        try reader.end()
        return out
    }
}

@Test func readerAcceptsExactlyTheGrammar() {
    let good = [
        "{}", "[]", " [ 1 , 2 ] ", #"{"a":{"b":[null,true,false]}}"#, "0", "-0", "1.5e+10", "-1E-2",
        #""\"\\\/\b\f\n\r\t\u00e9""#, "\t\r\n 1", #"{"a":1,"a":2}"#,
    ]
    let bad = [
        "", " ", "{", "[", "[1,]", "[,1]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "[1 2]",
        "01", "-", "1.", ".5", "1e", "+1", "nul", "tru", "truee", "\"", "\"\\", "\"\\x\"",
        "\"\\u12g4\"", "\"\\u12", "\"a\nb\"", "\"\u{1}\"", "[1]]", "1 1", "]", "}", "[}", "{]",
        "NaN", "'a'", "[1}", "// x",
    ]
    for text in good {
        #expect(throws: Never.self, "\(text)") { try check(Array(text.utf8)) }
    }
    for text in bad {
        #expect(throws: MalformedJSON.self, "\(text)") { try check(Array(text.utf8)) }
    }
}

@Test func readerHandsOverMembersInOrder() throws {
    let text = Array(#" { "a" : [ 1, [], {"x":null} , "s" ], "b\u0063" : -2.5, "d":{} } "#.utf8)
    try text.withUnsafeBytes { bytes in
        var reader = JSONReader(bytes)
        var seen: [String] = []
        try reader.beginObject()
        while let key = try reader.nextKey() {
            seen.append(key.string)
            if key.equals("a") {
                try reader.beginArray()
                while try reader.nextElement() {
                    seen.append(String(decoding: try reader.skipValue(), as: UTF8.self))
                }
            } else if key.equals("bc") {
                seen.append("\(try reader.double())")
            } else {
                #expect(try reader.peek() == .object)
                try reader.skipValue()
            }
        }
        try reader.end()
        #expect(seen == ["a", "1", "[]", #"{"x":null}"#, #""s""#, "bc", "-2.5", "d"])
    }
}

@Test func stringsAreUnescaped() throws {
    let cases: [(String, String)] = [
        (#""plain""#, "plain"), (#""""#, ""), (#""a\tb\"\\\/\u0041""#, "a\tb\"\\/A"),
        (#""\uD83D\ude00""#, "😀"), (#""\ud83d""#, "\u{fffd}"), (#""\ude00x""#, "\u{fffd}x"),
        (#""\ud83dA""#, "\u{fffd}A"), (#""\ud83d\u0041""#, "\u{fffd}A"),
        (#""\u00e9\u20ac""#, "é€"),
        (#""0123456789abcdef\n0123456789""#, "0123456789abcdef\n0123456789"),
    ]
    for (text, expected) in cases {
        #expect(try readString(text) == Array(expected.utf8), "\(text)")
    }
    // Bytes that are not UTF-8 stay.
    let dirty: [UInt8] = [0x22, 0xff, 0xfe, 0x22]
    try dirty.withUnsafeBytes { bytes in
        var reader = JSONReader(bytes)
        var out: [UInt8] = []
        try reader.string().append(to: &out)
        #expect(out == [0xff, 0xfe])
    }
}

@Test func everyPositionOfAQuoteIsFound() throws {
    for length in 0..<40 {
        let inside =
            String(repeating: "é", count: length / 2) + String(repeating: "x", count: length % 2)
        #expect(try readString("\"\(inside)\"") == Array(inside.utf8))
        #expect(throws: MalformedJSON.self) { try readString("\"\(inside)\u{1f}\"") }
        #expect(try readString("\"\(inside)\\n\"") == Array("\(inside)\n".utf8))
    }
}

@Test func numbersAreExact() {
    func int(_ text: String) -> Int64? { Array(text.utf8).withUnsafeBytes { parseInt64($0) } }
    func unsigned(_ text: String) -> UInt64? {
        Array(text.utf8).withUnsafeBytes { parseUInt64($0) }
    }
    func double(_ text: String) -> Double? { Array(text.utf8).withUnsafeBytes { parseDouble($0) } }
    #expect(int("-9223372036854775808") == .min)
    #expect(int("9223372036854775807") == .max)
    #expect(int("9223372036854775808") == nil)
    #expect(int("-9223372036854775809") == nil)
    #expect(int("1e3") == 1000)
    #expect(int("1.0") == 1)
    #expect(int("1.5") == nil)
    #expect(int("") == nil)
    #expect(int("-") == nil)
    #expect(int("12x") == nil)
    #expect(unsigned("18446744073709551615") == .max)
    #expect(unsigned("18446744073709551616") == nil)
    #expect(unsigned("-1") == nil)
    for text in [
        "0", "-0", "0.1", "123456789012345", "1234567890123456", "0.3", "1e22", "1e23", "5e-324",
        "2.2250738585072014e-308", "9007199254740993", "1.7976931348623157e308", "0.000001",
        "0.0000000000000000000000000000001", "-12.5",
    ] {
        #expect(double(text)?.bitPattern == Double(text)?.bitPattern, "\(text)")
    }
    #expect(double("NaN")?.isNaN == true)
    #expect(double("-Infinity") == -.infinity)
    for text in ["nan", "0x10", "inf", "", "-", ".", "1..2", "1.", "+1", "infinity"] {
        #expect(double(text) == nil, "\(text)")
    }
}

@Test func nestingIsLimited() {
    let deep = Array((String(repeating: "[", count: 65) + String(repeating: "]", count: 65)).utf8)
    #expect(throws: MalformedJSON(offset: 64, expected: "nesting of at most 64")) {
        try check(deep)
    }
    #expect(throws: Never.self) { try check(deep, maxDepth: 65) }
}

@Test func damagedJSONNeverCrashes() {
    let seed = Array(
        #"{"a":[1,-2.5e3,"x\u00e9\n",{"b":null,"c":[true,false]}],"long":"0123456789 0123456789"}"#
            .utf8)
    var state: UInt64 = 42
    func random(_ n: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int(state &>> 33) % n
    }
    var failures = 0
    for _ in 0..<20_000 {
        var text = Array(seed.prefix(random(seed.count + 1)))
        for _ in 0..<random(4) where !text.isEmpty {
            text[random(text.count)] = UInt8(random(256))
        }
        do { try check(text) } catch { failures += 1 }
    }
    #expect(failures > 10_000)
}
