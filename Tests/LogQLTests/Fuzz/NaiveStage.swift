// SPDX-License-Identifier: Apache-2.0
// Stages that a random query is made of: their text, and what they do, told plainly.

import Base
import Telemetry
import TestKit

struct NaiveStage {
    var text: String
    /// False drops the line.
    var apply: (inout NaiveLine) -> Bool
}

/// Makes stages that lines of `FuzzLines` are likely to notice.
struct StageMaker {
    var chance: Chance
    /// Whether lines that begin like JSON are JSON. What a path finds in front of a fault is the
    /// parser's choice.
    let hasWholeJSON: Bool

    private static let needles = [
        "level=", "error", "path=/a", "/a ", "n=1", " n=", "0af7651916cd43dd8448eb211c80319c",
        "651916cd43dd8448", "\"level\":\"", "GET /", "10.0.0.", "ö", "=", "zz", "info path",
        "=info ",
        "e", "12ms took", "\u{1b}[3", "}",
    ]
    private static let patterns = [
        "level=(info|warn)", "n=[0-9]+$", "^\\{", "[0-9]{2}ms", "(?i)ERROR", "path=.b", "a.*d",
        "^$",
        "GET|POST", ".",
    ]

    private mutating func pick<T>(_ values: [T]) -> T { values[chance.below(values.count)] }

    mutating func stages() -> [NaiveStage] {
        var stages: [NaiveStage] = []
        for _ in 0..<chance.below(3) { stages.append(lineFilter()) }
        if chance.happens(2, in: 3) { stages.append(parser()) }
        for _ in 0..<chance.below(4) {
            switch chance.below(8) {
            case 0: stages.append(lineFilter())
            case 1, 2, 3: stages.append(labelFilter())
            case 4: stages.append(parser())
            case 5: stages.append(selection())
            case 6: stages.append(format())
            default: stages.append(decolorize())
            }
        }
        return stages
    }

    // MARK: lines

    private mutating func needle() -> String {
        pick(StageMaker.needles)
    }

    private mutating func lineFilter() -> NaiveStage {
        let count = chance.happens(1, in: 4) ? 2 : 1
        if chance.happens(1, in: 8) {
            let isNegated = chance.happens(1, in: 3)
            return NaiveStage(text: #"\#(isNegated ? "!=" : "|=") ip("10.0.0.0/29")"#) {
                lowAddress(in: $0.string) != isNegated
            }
        }
        if chance.happens(1, in: 3) {
            let patterns = (0..<count).map { _ in pick(StageMaker.patterns) }
            let expressions = patterns.compactMap {
                try? RegularExpression($0, [.dotMatchesNewline])
            }
            let isNegated = chance.happens(1, in: 3)
            let text = patterns.map { quotedText($0) }.joined(separator: " or ")
            return NaiveStage(text: (isNegated ? "!~ " : "|~ ") + text) { line in
                let found = expressions.contains { expression in
                    line.line.withUnsafeBytes { expression.matchesAnywhere($0) }
                }
                return found != isNegated
            }
        }
        let needles = (0..<count).map { _ in Array(needle().utf8) }
        let isNegated = chance.happens(1, in: 3)
        let text = needles.map { quotedText(String(decoding: $0, as: UTF8.self)) }
            .joined(separator: " or ")
        return NaiveStage(text: (isNegated ? "!= " : "|= ") + text) { line in
            needles.contains { contains(line.line, $0) } != isNegated
        }
    }

    private func decolorize() -> NaiveStage {
        NaiveStage(text: "| decolorize") { line in
            var out: [UInt8] = []
            var i = 0
            while i < line.line.count {
                // The lines hold colours of this shape only.
                if line.line[i] == 0x1b, i + 1 < line.line.count, line.line[i + 1] == 0x5b,
                    let end = line.line[i...].firstIndex(of: UInt8(ascii: "m")), end - i <= 6
                {
                    i = end + 1
                } else {
                    out.append(line.line[i])
                    i += 1
                }
            }
            line.line = out
            return true
        }
    }

    // MARK: parsers

    private mutating func parser() -> NaiveStage {
        switch chance.below(8) {
        case 6: return unpack()
        case 7 where hasWholeJSON: return paths()
        case 0, 1:
            return NaiveStage(text: "| json") { line in
                var reader = NaiveJSONReader(line.string)
                var found: [(String, String)] = []
                do {
                    try reader.object(prefix: "") { found.append(($0, $1)) }
                } catch { line.error = "JSONParserErr" }
                for (name, text) in found { line.extract(name, text) }
                return true
            }
        case 2, 3: return logfmt()
        case 4:
            let expression = try? RegularExpression("n=(?P<num>[0-9]+)")
            return NaiveStage(text: #"| regexp "n=(?P<num>[0-9]+)""#) { line in
                let spans = line.line.withUnsafeBytes { expression?.captures($0) }
                guard let spans, spans.count > 3 else { return true }
                line.extract("num", String(decoding: line.line[spans[2]..<spans[3]], as: UTF8.self))
                return true
            }
        default:
            // Up to the first ` - `, then up to the first blank; what is missing stays open.
            return NaiveStage(text: #"| pattern "<ip> - <user> <_>""#) { line in
                guard let dash = position(of: Array(" - ".utf8), in: line.line[...]) else {
                    line.extractUnlessEmptyLine("ip", line.line[...])
                    return true
                }
                line.extractUnlessEmptyLine("ip", line.line[..<dash])
                let rest = line.line[(dash + 3)...]
                let blank = rest.firstIndex(of: 32) ?? rest.endIndex
                line.extractUnlessEmptyLine("user", rest[..<blank])
                return true
            }
        }
    }

    private func unpack() -> NaiveStage {
        NaiveStage(text: "| unpack") { line in
            if line.line.isEmpty { return true }
            var reader = NaiveJSONReader(line.string)
            guard let tree = try? reader.tree(), case .object(let members) = tree else {
                line.error = "JSONParserErr"
                return true
            }
            let strings = members.compactMap { member -> (key: String, text: String)? in
                guard case .string(let text) = member.value else { return nil }
                return (member.key, text)
            }
            guard let entry = strings.last(where: { $0.key == "_entry" }) else { return true }
            for string in strings where string.key != "_entry" {
                let name = naiveName(string.key, isFirst: true)
                if !name.isEmpty { line.extract(name, string.text) }
            }
            line.line = Array(entry.text.utf8)
            return true
        }
    }

    private func paths() -> NaiveStage {
        NaiveStage(text: #"| json inner="o.b", item="arr[1]", path"#) { line in
            guard let first = line.line.first else { return true }
            guard [UInt8(ascii: "{"), UInt8(ascii: "["), UInt8(ascii: "\"")].contains(first) else {
                line.error = "JSONParserErr"
                return true
            }
            var reader = NaiveJSONReader(line.string)
            guard let tree = try? reader.tree() else {
                line.error = "JSONParserErr"
                return true
            }
            line.extract("inner", tree["o"]?["b"]?.plainText ?? "")
            line.extract("item", tree["arr"]?[1]?.plainText ?? "")
            line.extract("path", tree["path"]?.plainText ?? "")
            return true
        }
    }

    private mutating func logfmt() -> NaiveStage {
        let strict = chance.happens(1, in: 4), keepEmpty = chance.happens(1, in: 4)
        let text = "| logfmt" + (strict ? " --strict" : "") + (keepEmpty ? " --keep-empty" : "")
        return NaiveStage(text: text) { line in
            for pair in naiveLogfmt(line.string) {
                guard let pair else {
                    if strict {
                        line.error = "LogfmtParserErr"
                        return true
                    }
                    continue
                }
                let value = pair.value.unicodeScalars.contains("\u{fffd}") ? "" : pair.value
                if value.isEmpty, !keepEmpty { continue }
                let name = naiveName(pair.key, isFirst: true)
                if !name.isEmpty { line.extract(name, value) }
            }
            return true
        }
    }

    // MARK: labels

    private static let names = [
        "level", "path", "n", "took", "app", "zone", "msg", "o_a", "o_b", "trace_id",
        "level_extracted", "num", "t", "missing", "path_extracted", "ip", "user", "status",
        "status", "n_extracted",
    ]

    private mutating func labelFilter() -> NaiveStage {
        let name = pick(StageMaker.names)
        switch chance.below(7) {
        case 0:
            let wanted = pick([
                "info", "error", "/a", "a", "", "1", "0af7651916cd43dd8448eb211c80319c",
            ])
            let isNegated = chance.happens(1, in: 2)
            return NaiveStage(text: "| \(name)\(isNegated ? "!=" : "=")\(quotedText(wanted))") {
                ($0.text(name) ?? "" == wanted) != isNegated
            }
        case 1:
            let expression = try? RegularExpression("^(?:.*[aeo].*)$", [.dotMatchesNewline])
            return NaiveStage(text: #"| \#(name)=~".*[aeo].*""#) { line in
                var text = line.text(name) ?? ""
                return text.withUTF8 { expression?.matchesAnywhere(UnsafeRawBufferPointer($0)) }
                    ?? false
            }
        case 2:
            return NaiveStage(text: #"| __error__="""#) { $0.error.isEmpty }
        case 3, 4:
            let limit = chance.below(20)
            let (sign, holds) = comparison()
            return NaiveStage(text: "| \(name) \(sign) \(limit)") { line in
                guard let text = line.text(name) else { return false }
                guard let value = Double(text.replacing("_", with: "x")), !text.isEmpty else {
                    line.error = "LabelFilterErr"
                    return true
                }
                return holds(value, Double(limit))
            }
        case 5:
            let limit = chance.below(20)
            let (sign, holds) = comparison()
            return NaiveStage(text: "| \(name) \(sign) \(limit)B") { line in
                guard let text = line.text(name) else { return false }
                // No value has a unit of bytes.
                let isPlain = text.allSatisfy { ("0"..."9").contains($0) || $0 == "." }
                guard isPlain, let value = Double(text) else {
                    line.error = "LabelFilterErr"
                    return true
                }
                return holds(value.rounded(.towardZero), Double(limit))
            }
        default:
            let limit = chance.below(40)
            return NaiveStage(text: "| \(name) <= \(limit)ms") { line in
                guard let text = line.text(name) else { return false }
                guard let nanos = try? parseGoDuration(text) else {
                    line.error = "LabelFilterErr"
                    return true
                }
                return nanos <= Int64(limit) * 1_000_000
            }
        }
    }

    private mutating func comparison() -> (sign: String, holds: (Double, Double) -> Bool) {
        switch chance.below(6) {
        case 0: (">", { $0 > $1 })
        case 1: (">=", { $0 >= $1 })
        case 2: ("<", { $0 < $1 })
        case 3: ("<=", { $0 <= $1 })
        case 4: ("=", { $0 == $1 })
        default: ("!=", { $0 != $1 })
        }
    }

    private mutating func selection() -> NaiveStage {
        let a = pick(StageMaker.names), b = pick(StageMaker.names)
        if chance.happens(1, in: 2) {
            return NaiveStage(text: #"| drop \#(a), \#(b)="info""#) { line in
                line.labels[a] = nil
                if line.labels[b]?.text == "info" { line.labels[b] = nil }
                return true
            }
        }
        return NaiveStage(text: "| keep \(a), \(b), app | app=~`.*`") { line in
            line.labels = line.labels.filter { [a, b, "app"].contains($0.key) }
            return true
        }
    }

    private mutating func format() -> NaiveStage {
        let name = pick(StageMaker.names)
        if chance.happens(1, in: 2) {
            return NaiveStage(text: "| line_format \"{{.\(name)}} {{.app}}\"") { line in
                line.line = Array(
                    ((line.text(name) ?? "") + " " + (line.text("app") ?? "")).utf8)
                return true
            }
        }
        return NaiveStage(text: "| label_format made=\(name)") { line in
            if let text = line.text(name) {
                line.labels[name] = nil
                line.set("made", text)
            }
            return true
        }
    }
}

extension NaiveLine {
    /// `pattern` leaves empty lines alone.
    fileprivate mutating func extractUnlessEmptyLine(_ name: String, _ text: ArraySlice<UInt8>) {
        if !line.isEmpty { extract(name, String(decoding: text, as: UTF8.self)) }
    }
}

/// Whether the text holds one of 10.0.0.0 to 10.0.0.7; its lines hold no other addresses.
private func lowAddress(in text: String) -> Bool {
    text.split(separator: "10.0.0.", omittingEmptySubsequences: false).dropFirst().contains {
        Int($0.prefix { ("0"..."9").contains($0) }).map { $0 < 8 } ?? false
    }
}

/// Where the needle first lies, found the slow way.
func position(of needle: [UInt8], in line: ArraySlice<UInt8>) -> Int? {
    guard needle.count <= line.count else { return nil }
    return (line.startIndex...(line.endIndex - needle.count)).first {
        line[$0...].starts(with: needle)
    }
}

func contains(_ line: [UInt8], _ needle: [UInt8]) -> Bool {
    position(of: needle, in: line[...]) != nil
}
