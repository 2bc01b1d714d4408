// SPDX-License-Identifier: Apache-2.0
// The place in a program that wrote a log line.

import Base
import Telemetry

extension CodeLocation {
    /// Of a log line: its structured metadata or stream labels (`exception_stacktrace`, `code_…`, with
    /// dots or underscores), else the fields of a JSON or logfmt line (`caller`, `file`,
    /// `source`, `logger` with a line number, stack traces), else a stack trace in the text, else a
    /// word like `file.go:12` or `a.b.Class#48` in its first line.
    ///
    /// For answers, not for the data path: some microseconds per line.
    package init?(logLine line: String, metadata: Labels, stream: Labels) {
        let labels = { (name: String) -> String? in
            let plain = String(decoding: name.utf8.map(underscored), as: UTF8.self)
            return metadata[name] ?? metadata[plain] ?? stream[plain]
        }
        // Where an exception arose tells more than where it was written down: a framework's logger
        // stands in the framework.
        let frame = labels("exception.stacktrace").flatMap { topFrame(ofStackTrace: $0) }
        if let frame, !isLibrary(frame) {
            self = frame
            return
        }
        if let found = CodeLocation(conventions: labels) ?? frame {
            self = found
            return
        }
        let fields = lineFields(line)
        let found =
            CodeLocation(logFields: fields)
            ?? (line.utf8.contains(UInt8(ascii: "\n")) ? topFrame(ofStackTrace: line) : nil)
            ?? (fields["log"] ?? fields["msg"] ?? fields["message"])
            .flatMap { CodeLocation(inText: $0) }
            // Of a plain text `msg=…` may be a piece of its data.
            ?? CodeLocation(inText: line)
        guard let found else { return nil }
        self = found
    }

    /// From the fields of a structured line.
    init?(logFields fields: [String: String]) {
        if fields.isEmpty { return nil }
        if let found = CodeLocation(conventions: { fields[$0] ?? fields[plainName($0)] }) {
            self = found
            return
        }
        func first(_ names: [String]) -> String? {
            for name in names { if let value = fields[name], !value.isEmpty { return value } }
            return nil
        }
        let function = first([
            "function", "func", "funcName", "source.function", "log.origin.function", "method",
        ])
        let number = first([
            "line", "lineno", "lineNumber", "line_number", "source.line", "log.origin.file.line",
        ]).flatMap { Int($0) }
        let file = first([
            "caller", "source", "source.file", "file", "file.name", "filename", "pathname",
            "log.origin.file.name", "location", "logger",
        ])
        if let file, let found = CodeLocation(fileAndLine: file, function: function) {
            self = found
            return
        }
        if let file, let number, number > 0 {
            self.init(file: file, line: number, function: function, raw: "\(file):\(number)")
            return
        }
        let trace = first([
            "stack_trace", "stacktrace", "stackTrace", "stack", "exc_info", "exception",
            "error.stack_trace", "error.stack", "err.stack", "exception.stacktrace",
        ])
        guard let trace, let frame = topFrame(ofStackTrace: trace) else { return nil }
        self = frame
    }

    /// From the first word of the text's first line that is a file and a line number.
    private init?(inText text: String) {
        let head = text.utf8.prefix(1024).prefix { $0 != UInt8(ascii: "\n") }
        for bytes in head.split(whereSeparator: { $0 == 0x20 || $0 == 0x09 }) {
            // Most words have neither.
            guard bytes.contains(UInt8(ascii: ":")) || bytes.contains(UInt8(ascii: "#")) else {
                continue
            }
            let word = Substring(decoding: bytes, as: UTF8.self)
            // Loggers of servlets have brackets in their names.
            if word.contains("["), let found = CodeLocation(sourceWord: word) {
                self = found
                return
            }
            let bare = word.drop { "([{<\"'".contains($0) }.prefix { !"]){}>\"',;".contains($0) }
            let inner = bare.last == ":" ? bare.dropLast() : bare
            if let found = CodeLocation(sourceWord: inner) {
                self = found
                return
            }
        }
        return nil
    }

    private init?(sourceWord word: Substring) {
        if let mark = word.lastIndex(of: "#") {
            let name = word[..<mark]
            guard let line = Int(word[word.index(after: mark)...]), line > 0, name.contains("."),
                name.allSatisfy({ $0.isLetter || $0.isNumber || "._[]/$".contains($0) })
            else { return nil }
            self.init(file: String(name), line: line, function: nil, raw: String(word))
            return
        }
        guard let found = CodeLocation(fileAndLine: word), let file = found.file,
            let dot = file.lastIndex(of: "."), sourceSuffixes.contains(file[dot...].dropFirst())
        else { return nil }
        self = found
    }
}

/// Endings of source files. Without them an address like `10.0.0.1:80` would be a place.
private let sourceSuffixes: Set<Substring> = [
    "go", "java", "kt", "kts", "scala", "groovy", "clj", "py", "js", "mjs", "cjs", "jsx", "ts",
    "tsx", "rb", "rs", "php", "cs", "fs", "vb", "swift", "c", "cc", "cpp", "cxx", "h", "hpp", "m",
    "ex", "exs", "erl", "pl", "lua", "dart", "zig", "hs", "ml",
]

private func underscored(_ byte: UInt8) -> UInt8 {
    byte == UInt8(ascii: ".") ? UInt8(ascii: "_") : byte
}

private func plainName(_ name: String) -> String {
    String(decoding: name.utf8.map(underscored), as: UTF8.self)
}

/// Fields of a JSON or logfmt line: scalars by name, those one level down as `outer.inner`. Empty
/// for other lines. Reads at most `codeTextLimit` bytes of logfmt.
private func lineFields(_ line: String) -> [String: String] {
    var line = line
    return line.withUTF8 { bytes in
        let all = UnsafeRawBufferPointer(bytes)
        guard let first = all.first(where: { $0 != 0x20 && $0 != 0x09 }) else { return [:] }
        if first == UInt8(ascii: "{") { return jsonFields(all) }
        guard all.prefix(codeTextLimit).contains(UInt8(ascii: "=")) else { return [:] }
        return logfmtFields(UnsafeRawBufferPointer(rebasing: all.prefix(codeTextLimit)))
    }
}

private let maxFields = 256

private func jsonFields(_ bytes: UnsafeRawBufferPointer) -> [String: String] {
    var fields: [String: String] = [:]
    var reader = JSONReader(bytes)
    do throws(MalformedJSON) {
        try readObject(&reader, prefix: "", depth: 0, &fields)
    } catch {
        // Half a JSON line: what came before its end still says something.
        return fields
    }
    return fields
}

/// Depth 3: `log.origin.file.name` is as deep as a known field lies.
private func readObject(
    _ reader: inout JSONReader, prefix: String, depth: Int, _ fields: inout [String: String]
) throws(MalformedJSON) {
    try reader.beginObject()
    while let key = try reader.nextKey() {
        let kind = try reader.peek()
        guard fields.count < maxFields else {
            try reader.skipValue()
            continue
        }
        let name = prefix + key.string
        switch kind {
        case .string: fields[name] = try reader.string().string
        case .number: fields[name] = String(decoding: try reader.number(), as: UTF8.self)
        case .object where depth < 3:
            try readObject(&reader, prefix: name + ".", depth: depth + 1, &fields)
        case .object, .array, .bool, .null: try reader.skipValue()
        }
    }
}

private func logfmtFields(_ bytes: UnsafeRawBufferPointer) -> [String: String] {
    var fields: [String: String] = [:]
    var i = 0
    func isSpace(_ byte: UInt8) -> Bool { byte <= 0x20 }
    while i < bytes.count, fields.count < maxFields {
        while i < bytes.count, isSpace(bytes[i]) { i += 1 }
        let start = i
        while i < bytes.count, !isSpace(bytes[i]), bytes[i] != UInt8(ascii: "=") { i += 1 }
        let name = start..<i
        guard i < bytes.count, bytes[i] == UInt8(ascii: "=") else { continue }
        i += 1
        var value: [UInt8] = []
        if i < bytes.count, bytes[i] == UInt8(ascii: "\"") {
            let open = i + 1
            i = open
            while i < bytes.count, bytes[i] != UInt8(ascii: "\"") {
                i += bytes[i] == UInt8(ascii: "\\") ? 2 : 1
            }
            let end = min(i, bytes.count)
            appendUnescapedJSON(UnsafeRawBufferPointer(rebasing: bytes[open..<end]), to: &value)
            i = end + 1
        } else {
            let open = i
            while i < bytes.count, !isSpace(bytes[i]) { i += 1 }
            value = Array(bytes[open..<i])
        }
        if name.isEmpty { continue }
        fields[String(decoding: bytes[name], as: UTF8.self)] = String(
            decoding: value, as: UTF8.self)
    }
    return fields
}
