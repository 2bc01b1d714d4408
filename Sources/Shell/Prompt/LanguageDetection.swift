// SPDX-License-Identifier: Apache-2.0
// Which language a line is in.

import LogQL
import PromQL
import TraceQL

/// Tells the language of a query from the parsers themselves.
///
/// A text that only one parser accepts is in that language. `{job="x"}` is good PromQL and good
/// LogQL; without a metric name before the brace people mean logs. `{}` and `{name="x"}` are good
/// TraceQL too, and nothing else where a selector must match something.
package func detectLanguage(_ text: String) -> QueryLanguage {
    let metrics = accepts { _ = try parseExpression(text) }
    let logs = accepts { _ = try LogQLParser.parse(text) }
    let traces = accepts { _ = try TraceQLParser.parse(text) }
    if traces, !metrics, !logs { return .traces }
    if logs, !metrics { return .logs }
    if logs, metrics, hasBareSelector(text) { return .logs }
    if metrics { return .metrics }
    // Nobody accepts it: let the most likely parser explain why.
    if text.first != "{" { return text.contains("({") ? .logs : .metrics }
    let spanWords = [".", "span.", "resource.", "event.", "duration", "status", "kind", "root"]
    let body = trimmedLine(String(text.dropFirst()))
    return spanWords.contains(where: body.hasPrefix) ? .traces : .logs
}

/// Whether a brace outside quotes has no name before it.
private func hasBareSelector(_ text: String) -> Bool {
    var quote: Character?
    var escaped = false
    var before: Character = " "
    for character in text {
        if let open = quote {
            if !escaped, character == open { quote = nil }
            escaped = !escaped && character == "\\" && open != "`"
            continue
        }
        if character == "\"" || character == "'" || character == "`" { quote = character }
        let isName = before.isLetter || before.isNumber || before == "_" || before == ":"
        if character == "{", !isName { return true }
        if !character.isWhitespace { before = character }
    }
    return false
}

private func accepts(_ parse: () throws -> Void) -> Bool {
    do {
        try parse()
        return true
    } catch {
        return false
    }
}
