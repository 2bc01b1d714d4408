// SPDX-License-Identifier: Apache-2.0
// The two selector notations of Kubernetes, checked before they are sent.

import Base

/// Checks `name=value,name!=value`. A backslash escapes comma, equals sign and itself.
/// Source: kubernetes/apimachinery `pkg/fields/selector.go`.
func validateFieldSelector(_ selector: String) throws(DiscoverySettingsError) {
    for term in fieldTerms(selector) where !term.isEmpty {
        guard let mark = term.firstIndex(of: "="), mark != term.startIndex else {
            throw DiscoverySettingsError(
                "invalid selector: '\(selector)'; can't understand '\(term)'")
        }
    }
}

/// The terms between commas that no backslash escapes.
private func fieldTerms(_ selector: String) -> [String] {
    var terms = [""]
    var isEscaped = false
    for character in selector {
        if character == ",", !isEscaped {
            terms.append("")
        } else {
            terms[terms.count - 1].append(character)
        }
        isEscaped = character == "\\" && !isEscaped
    }
    return terms
}

/// Checks `key`, `!key`, `key=value`, `key!=value`, `key in (a,b)`, `key notin (a)`, `key>1`,
/// joined by commas. Source: the documentation of labels and selectors at kubernetes.io.
func validateLabelSelector(_ selector: String) throws(DiscoverySettingsError) {
    var reader = LabelSelectorReader(selector)
    do throws(DiscoverySettingsError) { try reader.read() } catch {
        throw DiscoverySettingsError("unable to parse requirement: \(error) in '\(selector)'")
    }
}

private struct LabelSelectorReader {
    private var tokens: [String] = []
    private var next = 0

    init(_ text: String) {
        var word = ""
        let characters = Array(text)
        var index = 0
        func isSpecial(_ character: Character) -> Bool { "(),=!<>".contains(character) }
        while index < characters.count {
            let character = characters[index]
            index += 1
            if !character.isWhitespace, !isSpecial(character) {
                word.append(character)
                continue
            }
            if !word.isEmpty { tokens.append(word) }
            word = ""
            if character.isWhitespace { continue }
            let isPair =
                (character == "=" || character == "!") && index < characters.count
                && characters[index] == "="
            if isPair { index += 1 }
            tokens.append(isPair ? "\(character)=" : String(character))
        }
        if !word.isEmpty { tokens.append(word) }
    }

    private mutating func take() -> String? {
        guard next < tokens.count else { return nil }
        next += 1
        return tokens[next - 1]
    }

    mutating func read() throws(DiscoverySettingsError) {
        if tokens.isEmpty { return }
        repeat { try requirement() } while try another()
    }

    private mutating func another() throws(DiscoverySettingsError) -> Bool {
        guard let token = take() else { return false }
        guard token == "," else {
            throw DiscoverySettingsError("found '\(token)', expected: ',' or the end")
        }
        return true
    }

    private mutating func requirement() throws(DiscoverySettingsError) {
        if next < tokens.count, tokens[next] == "!" {
            next += 1
            try key()
            return
        }
        try key()
        guard next < tokens.count, tokens[next] != "," else { return }
        let operation = tokens[next]
        next += 1
        switch operation {
        case "=", "==", "!=":
            // Nothing stands for the empty value.
            if next < tokens.count, tokens[next] != "," { try value() }
        case ">", "<":
            guard let number = take(), Int64(number) != nil else {
                throw DiscoverySettingsError("'\(operation)' must be followed by a whole number")
            }
        case "in", "notin": try values()
        default:
            throw DiscoverySettingsError(
                "found '\(operation)', expected: in, notin, =, ==, !=, >, <")
        }
    }

    private mutating func values() throws(DiscoverySettingsError) {
        guard take() == "(" else { throw DiscoverySettingsError("expected: '('") }
        while next < tokens.count {
            if tokens[next] != ",", tokens[next] != ")" { try value() }
            guard let token = take() else { break }
            if token == ")" { return }
            guard token == "," else {
                throw DiscoverySettingsError("found '\(token)', expected: ',' or ')'")
            }
        }
        throw DiscoverySettingsError("expected: ')'")
    }

    /// `[prefix/]name`: at most 63 characters of name, 253 of prefix.
    private mutating func key() throws(DiscoverySettingsError) {
        guard let token = take() else { throw DiscoverySettingsError("a label key is missing") }
        let parts = token.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= 2, let name = parts.last, isName(name), !name.isEmpty,
            parts.count == 1 || (isName(parts[0], limit: 253) && !parts[0].isEmpty)
        else { throw DiscoverySettingsError("'\(token)' is not a valid label key") }
    }

    private mutating func value() throws(DiscoverySettingsError) {
        guard let token = take() else {
            throw DiscoverySettingsError("a label value is missing")
        }
        guard isName(token[...]) else {
            throw DiscoverySettingsError("'\(token)' is not a valid label value")
        }
    }

    /// Letters, digits, `-`, `_` and `.`, with a letter or a digit at both ends.
    private func isName(_ text: Substring, limit: Int = 63) -> Bool {
        func isPlain(_ byte: UInt8) -> Bool {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: false
            }
        }
        let bytes = Array(text.utf8)
        guard let first = bytes.first, let last = bytes.last else { return true }
        return bytes.count <= limit && isPlain(first) && isPlain(last)
            && bytes.allSatisfy { isPlain($0) || "-_.".utf8.contains($0) }
    }
}
