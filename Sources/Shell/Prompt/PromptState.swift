// SPDX-License-Identifier: Apache-2.0
// What the prompt remembers from line to line.

import Base

/// Settings and the last answer. Settings are changed by text alone, so that they are tested
/// without a terminal.
struct PromptState: Sendable {
    /// What the language of a line is taken to be; nil tells it from the line.
    var language: QueryLanguage?
    var options: ShellOptions
    var context = ResultContext()
    var statistics = JSONValue.null
    /// The last line that was no command.
    var lastQuery = ""
    var showsTiming = false
    var usesPager = true
    /// File that output goes to.
    var outputPath: String?
    /// Whether a time was set that ends where it says, rather than now.
    var nowNanos: Int64 = 0

    init(_ options: ShellOptions) { self.options = options }

    /// `metrics [1h step 15s]> `.
    func promptText(_ terminal: TerminalTraits) -> StyledText {
        var text = StyledText(language?.rawValue ?? "tern", .bold, terminal)
        text.add(" [" + options.window.text(options.zone), .dim)
        if options.range {
            let step =
                options.stepSeconds > 0
                ? durationText(millis: Int64(clamping: options.stepSeconds * 1000)) : "auto"
            text.add(" step " + step, .dim)
        }
        text.add("]", .dim)
        text.add("> ")
        return text
    }

    /// Applies a command that only changes settings.
    ///
    /// - Returns: a sentence to show, empty for none; nil when it is another command.
    /// - Throws: `ShellError` when its argument is wrong.
    mutating func apply(_ verb: ShellVerb, _ argument: String) throws -> String? {
        switch verb {
        case .metricsMode: language = .metrics
        case .logsMode: language = .logs
        case .tracesMode: language = .traces
        case .auto: language = nil
        case .since: try setWindow(argument)
        case .range:
            options.range = true
            if !argument.isEmpty { try setWindow(argument) }
        case .instant: options.range = false
        case .step: try setStep(argument)
        case .zone:
            guard !argument.isEmpty else { return "time zone: \(options.zone)\n" }
            options.zone = try ShownZone(argument)
        case .limit:
            guard let limit = Int(argument), limit >= 0 else {
                throw ShellError("\\limit takes a number, 0 for all lines page by page", .usage)
            }
            options.limit = limit
        case .output: try setOutput(argument)
        case .vertical:
            switch argument {
            case "on": options.vertical = true
            case "off": options.vertical = false
            case "auto": options.vertical = nil
            case "": options.vertical = options.vertical == true ? nil : true
            default: throw ShellError("\\x takes on, off or auto", .usage)
            }
            return "rows as blocks: \(options.vertical.map { $0 ? "on" : "off" } ?? "auto")\n"
        case .timing: return "timing: \(try toggle(&showsTiming, argument, verb))\n"
        case .pager: return "pager: \(try toggle(&usesPager, argument, verb))\n"
        case .spark: return "trends: \(try toggle(&options.showsTrends, argument, verb))\n"
        case .volume: return "volume: \(try toggle(&options.showsVolume, argument, verb))\n"
        default: return nil
        }
        return ""
    }

    private mutating func setWindow(_ text: String) throws {
        options.window = try TimeGrammar(nowNanos: nowNanos, zone: options.zone).window(text)
    }

    private mutating func setStep(_ text: String) throws {
        if text == "auto" || text == "0" {
            options.stepSeconds = 0
            return
        }
        guard let seconds = shellDuration(text), seconds > 0 else {
            throw ShellError("\\step takes a duration such as 15s, or auto", .usage)
        }
        options.stepSeconds = seconds
        options.range = true
    }

    /// A form, or a file: what has a dot or a slash in it.
    private mutating func setOutput(_ argument: String) throws {
        if argument.isEmpty {
            outputPath = nil
        } else if let form = OutputMode(rawValue: argument) {
            options.mode = form
        } else if argument.contains(".") || argument.contains("/") {
            outputPath = argument
        } else {
            throw ShellError(
                "\\o takes one of \(OutputMode.names), or a file such as ./answer.txt", .usage)
        }
    }

    private func toggle(
        _ flag: inout Bool, _ argument: String, _ verb: ShellVerb
    ) throws -> String {
        switch argument {
        case "on": flag = true
        case "off": flag = false
        case "": flag.toggle()
        default: throw ShellError("\(verb.name) takes on or off", .usage)
        }
        return flag ? "on" : "off"
    }
}
