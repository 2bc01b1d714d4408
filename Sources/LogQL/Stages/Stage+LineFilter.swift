// SPDX-License-Identifier: Apache-2.0
// Line filters: |= != |~ !~ |> !>

import Base

/// Keeps or drops lines by their text.
final class LineFilterStage: Stage {
    private enum Test {
        case contains(SharedBytes)
        case matches(RegularExpression)
        case pattern(LinePattern)
        case address(IPPattern)
        case everything
    }
    private let tests: [Test]
    private let isNegated: Bool

    init(_ filter: LineFilterSyntax) throws {
        isNegated = filter.operation.isNegated
        tests = try filter.alternatives.map { alternative in
            if alternative.isIP {
                guard let pattern = IPPattern(alternative.text) else {
                    throw LogQLSyntaxError("ip: invalid pattern (\(alternative.text))")
                }
                return .address(pattern)
            }
            // An empty text filters nothing, whatever the operator.
            if alternative.text.isEmpty { return .everything }
            switch filter.operation {
            case .contains, .notContains:
                return .contains(SharedBytes(Array(alternative.text.utf8)))
            case .matches, .notMatches:
                do throws(RegexError) {
                    return .matches(
                        try RegularExpression(alternative.text, [.dotMatchesNewline]))
                } catch {
                    throw LogQLSyntaxError(goRegexText(error))
                }
            case .pattern, .notPattern: return .pattern(try LinePattern(filter: alternative.text))
            }
        }
    }

    func process(_ state: LineState) -> Bool {
        let line = state.line
        for test in tests {
            let found: Bool
            switch test {
            case .contains(let needle): found = find(needle.buffer, in: line) != nil
            case .matches(let expression): found = expression.matchesAnywhere(line)
            case .pattern(let pattern): found = pattern.matches(line)
            case .address(let pattern): found = pattern.occurs(in: line)
            case .everything: return true
            }
            if found { return !isNegated }
        }
        return isNegated
    }
}
