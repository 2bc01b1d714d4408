// SPDX-License-Identifier: Apache-2.0
// Template functions over text.

import Base

extension TemplateFunction {
    func callText(_ arguments: [TemplateValue]) throws(TemplateError) -> TemplateValue {
        // Most functions take the text last, so that it can be piped in.
        switch self {
        case .defaultValue:
            if arguments.count > 1, arguments[1].isTrue { return arguments[1] }
            return arguments[0]
        case .fromJson: return try decoded(try text(arguments[0]))
        case .toLower, .lower: return .string(try text(arguments[0]).lowercased())
        case .toUpper, .upper: return .string(try text(arguments[0]).uppercased())
        case .title: return .string(titled(try text(arguments[0])))
        case .trim, .trimSpace: return .string(trimmed(try text(arguments[0]), " \t\n\r\u{b}\u{c}"))
        case .trimCutset:
            return .string(trimmed(try text(arguments[0]), try text(arguments[1])))
        case .trimAll: return .string(trimmed(try text(arguments[1]), try text(arguments[0])))
        case .trimLeft:
            return .string(
                trimmed(try text(arguments[0]), try text(arguments[1]), right: false))
        case .trimRight:
            return .string(trimmed(try text(arguments[0]), try text(arguments[1]), left: false))
        case .trimPrefixOf:
            return .string(withoutPrefix(try text(arguments[1]), of: try text(arguments[0])))
        case .trimPrefix:
            return .string(withoutPrefix(try text(arguments[0]), of: try text(arguments[1])))
        case .trimSuffixOf:
            return .string(withoutSuffix(try text(arguments[1]), of: try text(arguments[0])))
        case .trimSuffix:
            return .string(withoutSuffix(try text(arguments[0]), of: try text(arguments[1])))
        case .contains:
            return .bool(
                occurrences(of: try text(arguments[0]), in: try text(arguments[1]), limit: 1) > 0)
        case .hasPrefix:
            return .bool(try text(arguments[1]).utf8.starts(with: try text(arguments[0]).utf8))
        case .hasSuffix:
            let suffix = try text(arguments[0]).utf8
            return .bool(try text(arguments[1]).utf8.suffix(suffix.count).elementsEqual(suffix))
        case .replace:
            return .string(
                replaced(
                    try text(arguments[2]), try text(arguments[0]), with: try text(arguments[1]),
                    times: -1))
        case .replaceTimes:
            return .string(
                replaced(
                    try text(arguments[0]), try text(arguments[1]), with: try text(arguments[2]),
                    times: arguments[3].integer))
        case .repeat:
            let piece = try text(arguments[1])
            let times = Swift.max(0, arguments[0].integer)
            guard times <= Int64(TemplateLimits.outputBytes / Swift.max(1, piece.utf8.count)) else {
                throw fault("output exceeds \(TemplateLimits.outputBytes) bytes")
            }
            return .string(String(repeating: piece, count: Int(times)))
        case .indent: return .string(indented(try text(arguments[1]), arguments[0].integer))
        case .nindent:
            return .string("\n" + indented(try text(arguments[1]), arguments[0].integer))
        case .trunc: return .string(truncated(try text(arguments[1]), arguments[0].integer))
        case .substr:
            return .string(
                substring(
                    try text(arguments[2]), from: arguments[0].integer, to: arguments[1].integer))
        case .alignLeft:
            return .string(
                aligned(try text(arguments[1]), to: arguments[0].integer, fromRight: false))
        case .alignRight:
            return .string(
                aligned(try text(arguments[1]), to: arguments[0].integer, fromRight: true))
        case .urlencode: return .string(percentEncoded(try text(arguments[0])))
        case .urldecode: return .string(try percentDecoded(try text(arguments[0])))
        case .b64enc:
            var out: [UInt8] = []
            var source = try text(arguments[0])
            source.withUTF8 { appendBase64(Bytes($0), to: &out) }
            return .string(String(decoding: out, as: UTF8.self))
        case .b64dec: return .string(try base64Decoded(try text(arguments[0])))
        case .count:
            let expression = try compiled(try text(arguments[0]))
            return .int(
                Int64(matches(of: expression, in: Array(try text(arguments[1]).utf8)).count))
        case .regexReplaceAll, .regexReplaceAllLiteral:
            return .string(
                expanded(
                    try compiled(try text(arguments[0])), in: try text(arguments[1]),
                    with: try text(arguments[2]), literally: self == .regexReplaceAllLiteral))
        default: throw fault("\(rawValue) is no text function")
        }
    }

    private func compiled(_ pattern: String) throws(TemplateError) -> RegularExpression {
        do {
            return try RegularExpression(pattern)
        } catch {
            throw fault(goRegexText(error))
        }
    }

    // MARK: pieces

    private func trimmed(
        _ text: String, _ cutset: String, left: Bool = true, right: Bool = true
    ) -> String {
        let set = Set(cutset.unicodeScalars)
        var scalars = Array(text.unicodeScalars)[...]
        if left { scalars = scalars.drop { set.contains($0) } }
        if right { while let last = scalars.last, set.contains(last) { scalars.removeLast() } }
        return String(String.UnicodeScalarView(scalars))
    }

    private func withoutPrefix(_ prefix: String, of text: String) -> String {
        guard text.utf8.starts(with: prefix.utf8) else { return text }
        return String(decoding: text.utf8.dropFirst(prefix.utf8.count), as: UTF8.self)
    }

    private func withoutSuffix(_ suffix: String, of text: String) -> String {
        guard text.utf8.suffix(suffix.utf8.count).elementsEqual(suffix.utf8) else { return text }
        return String(decoding: text.utf8.dropLast(suffix.utf8.count), as: UTF8.self)
    }

    private func titled(_ text: String) -> String {
        var result = ""
        var startsWord = true
        for character in text {
            result += startsWord ? character.uppercased() : String(character)
            startsWord =
                !(character.isLetter || character.isNumber || character == "_"
                || character == "'")
        }
        return result
    }

    private func occurrences(of needle: String, in text: String, limit: Int) -> Int {
        var needle = needle, text = text
        return needle.withUTF8 { n in
            text.withUTF8 { t in find(Bytes(n), in: Bytes(t)) != nil ? 1 : 0 }
        }
    }

    private func replaced(
        _ text: String, _ old: String, with new: String, times: Int64
    ) -> String {
        if times == 0 { return text }
        var left = times < 0 ? Int64.max : times
        if old.isEmpty {
            // Go puts the replacement in front of every character and at the end.
            var result = ""
            for scalar in text.unicodeScalars {
                if left > 0 { result += new }
                left -= 1
                result.unicodeScalars.append(scalar)
            }
            return left > 0 ? result + new : result
        }
        let bytes = Array(text.utf8)
        let needle = Array(old.utf8)
        var out: [UInt8] = []
        bytes.withUnsafeBytes { all in
            needle.withUnsafeBytes { wanted in
                var offset = 0
                while left > 0, let found = find(wanted, in: all.part(offset..<all.count)) {
                    out.append(contentsOf: all[offset..<offset + found])
                    out.append(contentsOf: new.utf8)
                    offset += found + wanted.count
                    left -= 1
                }
                out.append(contentsOf: all[offset...])
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    private func indented(_ text: String, _ count: Int64) -> String {
        let pad = String(repeating: " ", count: Int(Swift.min(Swift.max(count, 0), 1000)))
        return pad + replaced(text, "\n", with: "\n" + pad, times: -1)
    }

    /// The first characters, or with a negative count the last ones.
    func truncated(_ text: String, _ count: Int64) -> String {
        let scalars = Array(text.unicodeScalars)
        let wanted = Int(clamping: count.magnitude)
        guard wanted < scalars.count else { return text }
        return String(
            String.UnicodeScalarView(count < 0 ? scalars.suffix(wanted) : scalars.prefix(wanted)))
    }

    /// Characters `start..<end`; a negative start is 0, an end that is negative or behind the text
    /// is the text's.
    func substring(_ text: String, from start: Int64, to end: Int64) -> String {
        let scalars = Array(text.unicodeScalars)
        let low = start < 0 ? 0 : Int(clamping: start)
        let high = end < 0 || end > Int64(scalars.count) ? scalars.count : Int(end)
        guard low < high else { return "" }
        return String(String.UnicodeScalarView(scalars[low..<high]))
    }

    /// Exactly `count` characters: cut, or filled with blanks.
    func aligned(_ text: String, to count: Int64, fromRight: Bool) -> String {
        guard count >= 0 else { return text }
        let scalars = Array(text.unicodeScalars)
        let wanted = Int(Swift.min(count, 100_000))
        if wanted <= scalars.count {
            return String(
                String.UnicodeScalarView(
                    fromRight ? scalars.suffix(wanted) : scalars.prefix(wanted)))
        }
        let blanks = String(repeating: " ", count: wanted - scalars.count)
        return fromRight ? blanks + text : text + blanks
    }

    private func percentDecoded(_ text: String) throws(TemplateError) -> String {
        var out: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "+"): out.append(32)
            case UInt8(ascii: "%"):
                let digits = String(decoding: rest.prefix(2), as: UTF8.self)
                guard digits.utf8.count == 2, let value = UInt8(digits, radix: 16),
                    !digits.hasPrefix("+")
                else { throw fault("invalid URL escape \(quotedText("%" + digits))") }
                out.append(value)
                rest = rest.dropFirst(2)
            default: out.append(byte)
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    private func base64Decoded(_ text: String) throws(TemplateError) -> String {
        var source = text
        while source.utf8.count % 4 != 0 { source += "=" }
        var out: [UInt8] = []
        let valid = source.withUTF8 { appendDecodedBase64(Bytes($0), to: &out) }
        guard valid else { throw fault("illegal base64 data") }
        return String(decoding: out, as: UTF8.self)
    }

    // MARK: regular expressions

    /// All matches, group offsets each; an empty match behind a match is left out, as in Go.
    private func matches(of expression: RegularExpression, in bytes: [UInt8]) -> [[Int]] {
        var result: [[Int]] = []
        bytes.withUnsafeBytes { all in
            var offset = 0
            var previousEnd = -1
            while offset <= all.count, let spans = expression.captures(all, from: offset) {
                let start = spans[0], end = spans[1]
                guard start >= offset, end >= start else { return }
                if !(start == end && start == previousEnd) { result.append(spans) }
                previousEnd = end
                offset = end > start ? end : end + 1
                while end == start, offset < all.count, all[offset] & 0xc0 == 0x80 { offset += 1 }
            }
        }
        return result
    }

    private func expanded(
        _ expression: RegularExpression, in text: String, with replacement: String, literally: Bool
    ) -> String {
        let bytes = Array(text.utf8)
        var out: [UInt8] = []
        var offset = 0
        let names = literally ? [] : expression.groupNames()
        for spans in matches(of: expression, in: bytes) {
            out.append(contentsOf: bytes[offset..<spans[0]])
            if literally {
                out.append(contentsOf: replacement.utf8)
            } else {
                appendExpansion(of: replacement, bytes, spans, names, to: &out)
            }
            offset = spans[1]
        }
        out.append(contentsOf: bytes[offset...])
        return String(decoding: out, as: UTF8.self)
    }
}

/// Appends a replacement with `$1`, `${1}`, `$name` and `$$` resolved, by Go's rules: a name is the
/// longest run of letters, digits and `_`; a group that does not exist is empty.
func appendExpansion(
    of replacement: String, _ text: [UInt8], _ spans: [Int], _ names: [String],
    to out: inout [UInt8]
) {
    var rest = Array(replacement.utf8)[...]
    while let byte = rest.popFirst() {
        guard byte == UInt8(ascii: "$") else {
            out.append(byte)
            continue
        }
        if rest.first == UInt8(ascii: "$") {
            rest = rest.dropFirst()
            out.append(UInt8(ascii: "$"))
            continue
        }
        let braced = rest.first == UInt8(ascii: "{")
        let inner = braced ? rest.dropFirst() : rest
        let name = inner.prefix { isASCIILetter($0) || isASCIIDigit($0) || $0 == UInt8(ascii: "_") }
        let after = inner.dropFirst(name.count)
        if name.isEmpty || (braced && after.first != UInt8(ascii: "}")) {
            out.append(byte)
            continue
        }
        rest = braced ? after.dropFirst() : after
        let word = String(decoding: name, as: UTF8.self)
        let group = Int(word) ?? names.firstIndex(of: word).map { $0 + 1 }
        guard let group, group >= 0, 2 * group + 1 < spans.count, spans[2 * group] >= 0 else {
            continue
        }
        out.append(contentsOf: text[spans[2 * group]..<spans[2 * group + 1]])
    }
}

extension TemplateFunction {
    // MARK: JSON

    private func decoded(_ text: String) throws(TemplateError) -> TemplateValue {
        var bytes = Array(text.utf8)
        if bytes.isEmpty { bytes = Array("null".utf8) }
        let arena = ScratchArena()
        let result: Result<TemplateValue, JSONFault> = bytes.withUnsafeBytes { all in
            var cursor = JSONCursor(all)
            do throws(JSONFault) {
                return .success(try decode(&cursor, arena, depth: 0))
            } catch {
                return .failure(error)
            }
        }
        switch result {
        case .success(let value): return value
        case .failure(let error): throw fault(error.message)
        }
    }

    private func decode(
        _ cursor: inout JSONCursor, _ arena: ScratchArena, depth: Int
    ) throws(JSONFault) -> TemplateValue {
        guard depth < JSONCursor.maxDepth else { throw JSONFault(message: "nested too deeply") }
        switch cursor.peek() {
        case UInt8(ascii: "{"):
            var pairs: [(key: String, value: TemplateValue)] = []
            try cursor.forEachMember { (key, hasEscapes, inner) throws(JSONFault) in
                let name = JSONCursor.unescaped(key, hasEscapes: hasEscapes, arena).text
                pairs.append((name, try decode(&inner, arena, depth: depth + 1)))
            }
            return .map(pairs.sorted { $0.key < $1.key })
        case UInt8(ascii: "["):
            _ = cursor.take(UInt8(ascii: "["))
            var items: [TemplateValue] = []
            if cursor.take(UInt8(ascii: "]")) { return .list(items) }
            while true {
                items.append(try decode(&cursor, arena, depth: depth + 1))
                if cursor.take(UInt8(ascii: "]")) { return .list(items) }
                guard cursor.take(UInt8(ascii: ",")) else {
                    throw JSONFault(message: "',' or ']' expected")
                }
            }
        default:
            let value = try cursor.value()
            switch value.kind {
            case .string:
                return .string(
                    JSONCursor.unescaped(value.raw, hasEscapes: value.hasEscapes, arena).text)
            case .number:
                guard let number = parseFloat(value.raw) else {
                    throw JSONFault(message: "invalid number")
                }
                return .float(number)
            case .bool: return .bool(value.raw.first == UInt8(ascii: "t"))
            case .null, .object, .array: return .null
            }
        }
    }
}

/// Text functions that libraries share with log queries.
package enum TemplateTexts {
    /// Every match replaced, `$1` and `${name}` filled in. Source: Go's `Regexp.ReplaceAllString`.
    package static func replacingAll(
        _ pattern: String, in text: String, with replacement: String
    ) throws(TemplateError) -> String {
        try TemplateFunction.regexReplaceAll.callText([
            .string(pattern), .string(text), .string(replacement),
        ]).text
    }

    package static func title(_ text: String) throws(TemplateError) -> String {
        try TemplateFunction.title.callText([.string(text)]).text
    }

    /// Source: Go's `url.QueryEscape`.
    package static func queryEscaped(_ text: String) -> String { percentEncoded(text) }

    /// Whether a pattern occurs anywhere in the text.
    package static func matches(_ pattern: String, _ text: String) throws(TemplateError) -> Bool {
        do throws(RegexError) {
            return try RegularExpression(pattern).matchesAnywhere(text)
        } catch { throw TemplateError(description: goRegexText(error)) }
    }
}
