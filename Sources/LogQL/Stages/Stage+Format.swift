// SPDX-License-Identifier: Apache-2.0
// | line_format and | label_format

import Base

extension LineState {
    /// What a template may see of this line.
    func templateScope(nowNanos: Int64) -> TemplateScope {
        TemplateScope(
            label: { name in
                var name = name
                return name.withUTF8 { self.value(of: Bytes($0))?.text }
            },
            labels: {
                self.entries.map { ($0.name.text, .string($0.value.text)) }
                    .sorted { $0.key < $1.key }
            },
            line: { self.line.text }, lineNanos: nanos, nowNanos: nowNanos)
    }
}

/// Rewrites the line from a template.
final class LineFormatStage: Stage {
    private let template: Template
    private let nowNanos: Int64

    init(_ text: String, nowNanos: Int64) throws {
        template = try Template(text, name: "line")
        self.nowNanos = nowNanos
    }

    func process(_ state: LineState) -> Bool {
        do {
            let text = try TemplateEvaluator.run(
                template, state.templateScope(nowNanos: nowNanos))
            state.line = state.arena.keep(text)
        } catch {
            state.fail(.template, error.description)
        }
        return true
    }
}

/// Renames labels and sets them from templates, one after the other.
final class LabelFormatStage: Stage {
    private enum Source {
        case rename(SharedBytes)
        case template(Template)
    }
    private let formats: [(target: SharedBytes, source: Source)]
    private let nowNanos: Int64

    init(_ formats: [LabelFormat], nowNanos: Int64) throws {
        self.nowNanos = nowNanos
        self.formats = try formats.map { format in
            let target = SharedBytes(Array(format.target.utf8))
            switch format.source {
            case .rename(let name): return (target, .rename(SharedBytes(Array(name.utf8))))
            case .template(let text):
                return (target, .template(try Template(text, name: "label_format")))
            }
        }
    }

    func process(_ state: LineState) -> Bool {
        for format in formats {
            switch format.source {
            case .rename(let name):
                guard let value = state.value(of: name.buffer) else { continue }
                state.set(format.target.buffer, value)
                if !equalBytes(name.buffer, format.target.buffer) { state.remove(name.buffer) }
            case .template(let template):
                do {
                    let text = try TemplateEvaluator.run(
                        template, state.templateScope(nowNanos: nowNanos))
                    state.set(format.target.buffer, state.arena.keep(text))
                } catch {
                    state.fail(.template, error.description)
                }
            }
        }
        return true
    }
}
