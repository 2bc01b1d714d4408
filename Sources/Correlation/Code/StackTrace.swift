// SPDX-License-Identifier: Apache-2.0
// Frames of stack traces as languages print them.

/// Most of a text that is looked through for a place in code, in bytes and lines.
let codeTextLimit = 64 << 10
private let frameLineLimit = 512

/// The frame in which an exception arose: the innermost that is not of a run-time library, else the
/// innermost. Nil when nothing looks like a frame.
///
/// Knows Java and its kin (`at a.B.c(B.java:12)`), .NET (`at A.B() in f.cs:line 12`), Node
/// (`at f (a.js:1:2)`), Rust (`at ./a.rs:1:2`), Python (`File "a.py", line 1, in f`, innermost
/// last), Go (`\t/a.go:12 +0x1d` under the function), Ruby (`a.rb:12:in 'f'`) and PHP
/// (`#0 a.php(12): f()`). Of exceptions with causes the first that is printed counts.
package func topFrame(ofStackTrace text: some StringProtocol) -> CodeLocation? {
    var frames: [CodeLocation] = []
    var isPython = false
    var previous = Substring()
    let lines = text.utf8.prefix(codeTextLimit).split(
        maxSplits: frameLineLimit, omittingEmptySubsequences: true
    ) { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") }
    for bytes in lines.prefix(frameLineLimit) {
        let line = Substring(decoding: bytes, as: UTF8.self)
        let trimmed = line.drop { $0 == " " || $0 == "\t" }
        if trimmed.hasPrefix("Caused by:"), !frames.isEmpty { break }
        if trimmed.hasPrefix("Traceback (most recent call last)") {
            // Of chained exceptions the last one is what was raised in the end.
            frames = []
            isPython = true
        }
        if let frame = frame(trimmed, before: previous) {
            if trimmed.hasPrefix("File \"") { isPython = true }
            frames.append(frame)
        }
        previous = trimmed
    }
    if isPython { frames.reverse() }
    return frames.first { !isLibrary($0) } ?? frames.first
}

private func frame(_ line: Substring, before previous: Substring) -> CodeLocation? {
    if line.hasPrefix("at ") { return atFrame(line.dropFirst(3), before: previous) }
    if line.hasPrefix("File \"") { return pythonFrame(line) }
    if line.hasPrefix("#") { return phpFrame(line) }
    return goFrame(line, before: previous) ?? rubyFrame(line)
}

/// What follows `at `: Java, .NET, Node or Rust.
private func atFrame(_ text: Substring, before previous: Substring) -> CodeLocation? {
    if let place = text.range(of: ":line "), let start = text.range(of: " in ") {
        guard start.upperBound <= place.lowerBound,
            let line = Int(text[place.upperBound...].prefix { $0.isNumber })
        else { return nil }
        let function = text[..<start.lowerBound].prefix { $0 != "(" }
        return CodeLocation(
            file: String(text[start.upperBound..<place.lowerBound]), line: line,
            function: String(function), raw: String(text))
    }
    if text.last == ")", let open = text.lastIndex(of: "(") {
        var function = text[..<open]
        while function.last == " " { function.removeLast() }
        for word in ["async ", "new "] where function.hasPrefix(word) {
            function = function.dropFirst(word.count)
        }
        // Java prints class loader and module before the class: `app//java.base@21/java.util.X.y`.
        if !function.contains(" "), let slash = function.lastIndex(of: "/") {
            function = function[function.index(after: slash)...]
        }
        let place = text[text.index(after: open)...].dropLast()
        var found = CodeLocation(
            fileAndLine: place, function: function.isEmpty ? nil : String(function))
        found?.raw = String(text)
        return found
    }
    // Rust numbers the function on the line before: `4: shop::cart::add`.
    let words = previous.split(separator: ":", maxSplits: 1)
    let isNumbered = words.count == 2 && Int(words[0]) != nil
    return CodeLocation(
        fileAndLine: text,
        function: isNumbered ? String(words[1].drop { $0 == " " }) : nil)
}

/// `File "f", line 12, in g`.
private func pythonFrame(_ text: Substring) -> CodeLocation? {
    let rest = text.dropFirst(6)
    guard let quote = rest.firstIndex(of: "\""),
        let mark = rest[quote...].range(of: ", line "),
        let line = Int(rest[mark.upperBound...].prefix { $0.isNumber })
    else { return nil }
    let function = rest[mark.upperBound...].range(of: ", in ").map {
        String(rest[$0.upperBound...])
    }
    return CodeLocation(
        file: String(rest[..<quote]), line: line, function: function, raw: String(text))
}

/// `#0 f.php(12): g()`.
private func phpFrame(_ text: Substring) -> CodeLocation? {
    let rest = text.dropFirst().drop { $0.isNumber }
    guard rest.first == " ", let close = rest.range(of: "): "),
        let open = rest[..<close.lowerBound].lastIndex(of: "("),
        let line = Int(rest[rest.index(after: open)..<close.lowerBound])
    else { return nil }
    let function = rest[close.upperBound...].prefix { $0 != "(" }
    return CodeLocation(
        file: String(rest[..<open].dropFirst()), line: line, function: String(function),
        raw: String(text))
}

/// `f.go:12 +0x1d`, under `package.function(…)`.
private func goFrame(_ text: Substring, before previous: Substring) -> CodeLocation? {
    let place = text.prefix { $0 != " " }
    guard place.contains(".go:"), !text.dropFirst(place.count).contains(where: { $0 == ":" })
    else { return nil }
    var function = previous
    if function.hasPrefix("created by ") {
        function = function.dropFirst(11).prefix { $0 != " " }
    } else if let open = function.lastIndex(of: "("), function.last == ")" {
        function = function[..<open]
    } else {
        function = ""
    }
    var found = CodeLocation(
        fileAndLine: place, function: function.isEmpty ? nil : String(function))
    found?.raw = String(place)
    return found
}

/// ``f.rb:12:in `g'``.
private func rubyFrame(_ text: Substring) -> CodeLocation? {
    let rest = text.hasPrefix("from ") ? text.dropFirst(5) : text
    guard let mark = rest.range(of: ":in ") else { return nil }
    let function = rest[mark.upperBound...].drop { $0 == "`" || $0 == "'" }
        .prefix { $0 != "'" }
    var found = CodeLocation(fileAndLine: rest[..<mark.lowerBound], function: String(function))
    found?.raw = String(rest)
    return found
}

/// Beginnings of functions, and parts of paths, of code that nobody debugs first.
private let libraryFunctions = [
    "java.", "javax.", "jakarta.", "jdk.", "sun.", "com.sun.", "kotlin.", "kotlinx.", "scala.",
    "org.springframework.", "org.apache.", "io.netty.", "io.grpc.", "reactor.", "System.",
    "Microsoft.", "runtime.", "std::", "core::",
]
private let libraryPaths = [
    "node:", "/node_modules/", "site-packages/", "dist-packages/", "/lib/python", "<frozen ",
    "/go/src/", "/go/pkg/mod/", "/rustc/", "/.cargo/registry/", "/gems/",
]

/// Whether a frame is of a run-time or of installed packages.
func isLibrary(_ frame: CodeLocation) -> Bool {
    if let function = frame.function, libraryFunctions.contains(where: function.hasPrefix) {
        return true
    }
    guard let file = frame.file else { return false }
    return libraryPaths.contains { file.range(of: $0) != nil }
}

extension StringProtocol {
    /// Where a text first stands, compared as bytes.
    func range(of text: String) -> Range<Index>? {
        let wanted = Array(text.utf8)
        guard let first = wanted.first else { return nil }
        var index = utf8.startIndex
        while let start = utf8[index...].firstIndex(of: first) {
            var a = start
            var matched = 0
            while matched < wanted.count, a < utf8.endIndex, utf8[a] == wanted[matched] {
                a = utf8.index(after: a)
                matched += 1
            }
            if matched == wanted.count { return start..<a }
            index = utf8.index(after: start)
        }
        return nil
    }
}
