// SPDX-License-Identifier: Apache-2.0
// | pattern and | regexp

import Base

/// Makes labels of a pattern's named captures.
final class PatternStage: Stage {
    private let pattern: LinePattern

    init(_ text: String) throws { pattern = try LinePattern(captures: text) }

    func process(_ state: LineState) -> Bool {
        if state.line.isEmpty || state.wantsNothing { return true }
        pattern.forEachCapture(in: state.line) { name, value in state.extract(name, value) }
        return true
    }
}

struct NamedCaptureError: Error, CustomStringConvertible {
    let description: String
}

/// A regular expression whose named groups become labels.
struct NamedCapturePattern {
    let expression: RegularExpression
    /// Name of each group from 1 on, nil for unnamed ones.
    let names: [SharedBytes?]

    init(_ pattern: String) throws(NamedCaptureError) {
        do {
            expression = try RegularExpression(pattern)
        } catch {
            throw NamedCaptureError(description: goRegexText(error))
        }
        var seen: Set<String> = []
        var names: [SharedBytes?] = []
        for name in expression.groupNames() {
            if name.isEmpty {
                names.append(nil)
                continue
            }
            guard let first = name.utf8.first, !isASCIIDigit(first) else {
                throw NamedCaptureError(description: "invalid extracted label name '\(name)'")
            }
            guard seen.insert(name).inserted else {
                throw NamedCaptureError(description: "duplicate extracted label name '\(name)'")
            }
            names.append(SharedBytes(Array(name.utf8)))
        }
        if seen.isEmpty {
            throw NamedCaptureError(description: "at least one named capture must be supplied")
        }
        self.names = names
    }
}

/// Makes labels of the named groups of the first match.
final class RegexpStage: Stage {
    private let pattern: NamedCapturePattern

    init(_ text: String) throws { pattern = try NamedCapturePattern(text) }

    func process(_ state: LineState) -> Bool {
        if state.wantsNothing { return true }
        let line = state.line
        guard let spans = pattern.expression.captures(line) else { return true }
        for (i, name) in pattern.names.enumerated() {
            let start = spans[2 * i + 2], end = spans[2 * i + 3]
            guard let name, start >= 0, end >= start, end <= line.count else { continue }
            state.extract(name.buffer, line.part(start..<end))
        }
        return true
    }
}
