// SPDX-License-Identifier: Apache-2.0
// What is wrong with a query, from our own parsers.

import LogQL
import PromQL
import TraceQL

/// A fault in a text and where it is.
package struct SyntaxFault: Sendable, Equatable {
    /// Position in the characters of the text; their count at the end.
    package var position: Int
    package var message: String
}

/// The first fault of a text in a language; nil when it is well formed.
package func syntaxFault(_ text: String, _ language: QueryLanguage) -> SyntaxFault? {
    do {
        switch language {
        case .metrics: _ = try parseExpression(text)
        case .logs: _ = try LogQLParser.parse(text)
        case .traces: _ = try TraceQLParser.parse(text)
        }
        return nil
    } catch let error as ParseError {
        guard let fault = error.faults.first else {
            return SyntaxFault(position: 0, message: "\(error)")
        }
        let bytes = Array(text.utf8.prefix(max(0, fault.range.start)))
        return SyntaxFault(
            position: String(decoding: bytes, as: UTF8.self).count, message: fault.message)
    } catch let error as LogQLSyntaxError {
        return SyntaxFault(
            position: position(error.line, error.column, in: text), message: error.message)
    } catch let error as TraceQLSyntaxError {
        return SyntaxFault(
            position: position(error.line, error.column, in: text), message: error.message)
    } catch {
        return SyntaxFault(position: 0, message: "\(error)")
    }
}

/// Place of a line and column, both from 1 and in scalars, among the characters.
private func position(_ line: Int, _ column: Int, in text: String) -> Int {
    var currentLine = 1
    var currentColumn = 1
    for (index, character) in text.enumerated() {
        if currentLine > line || (currentLine == line && currentColumn >= column) { return index }
        if character.isNewline {
            currentLine += 1
            currentColumn = 1
        } else {
            currentColumn += character.unicodeScalars.count
        }
    }
    return text.count
}

/// The line of the fault with a caret below, for messages after a query has failed.
func caretLines(
    _ text: String, _ fault: SyntaxFault, _ terminal: TerminalTraits
) -> [StyledText] {
    let characters = Array(text)
    let place = min(fault.position, characters.count)
    let start = characters[..<place].lastIndex(where: \.isNewline).map { $0 + 1 } ?? 0
    let end = characters[place...].firstIndex(where: \.isNewline) ?? characters.count
    let before = harmless(String(characters[start..<place]), ascii: !terminal.unicode)
    // A line that is too long for the terminal begins near the fault.
    let room = terminal.isTerminal ? max(20, terminal.columns - 4) : .max
    let cut = displayWidth(before) > room - 10
    let shownBefore =
        cut ? String(before.suffix(max(0, room / 2))) : before
    var line = StyledText("  ", .plain, terminal)
    line.add(shownBefore)
    let after = harmless(String(characters[place..<end]), ascii: !terminal.unicode)
    line.add(prefix(of: after, columns: max(0, room - displayWidth(shownBefore))))
    var caret = StyledText("  ", .plain, terminal)
    caret.pad(to: 2 + displayWidth(shownBefore))
    caret.add("^ " + fault.message, .red)
    return [line, caret]
}
