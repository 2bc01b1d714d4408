// SPDX-License-Identifier: Apache-2.0
// `tern rules backfill`.

import ArgumentParser
import Base
import FoundationEssentials
import Shell

struct RulesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rules", abstract: "Work with the rules of a server.",
        subcommands: [RulesBackfill.self])
}

/// Asks stretch by stretch, so that each request is short and what is done stays done.
struct RulesBackfill: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backfill",
        abstract: "Evaluate recording rules over the past and write the results to the server.",
        discussion: "The server needs --web.enable-admin-api.")
    @Option(help: "Server to ask.")
    var url: String = Terminal.environment("TERN_URL") ?? "http://127.0.0.1:4100"
    @Option(help: "Tenant, sent as X-Scope-OrgID.")
    var tenant: String?
    @Option(help: "First evaluation: RFC 3339 or Unix seconds.")
    var start: String
    @Option(help: "Last evaluation: RFC 3339 or Unix seconds.")
    var end: String
    @Option(help: "Time between evaluations.")
    var evalInterval: String = "1m"
    @Argument(help: "Rule files.")
    var files: [String]

    /// Evaluations per request.
    private static let stretch: Int64 = 500

    func run() async throws {
        let (first, last, step) = try times()
        let client = ShellClient(url: url, tenant: tenant)
        var (samples, refused) = (Int64(0), Int64(0))
        var warnings: [String] = []
        for file in files {
            guard let data = FileManager.default.contents(atPath: file) else {
                throw ValidationError("cannot read \(file)")
            }
            var time = first
            while time <= last {
                let until = min(last, time + (Self.stretch - 1) * step)
                let parameters = [
                    ("start", seconds(time)), ("end", seconds(until)),
                    ("eval_interval", durationText(millis: step)),
                ]
                do {
                    let answer = try await client.post(
                        "/api/v1/admin/rules/backfill", parameters, "application/yaml",
                        Array(data))
                    samples += answer["data"]["samples"].int
                    refused += answer["data"]["refused"].int
                    for warning in answer["warnings"].items where !warnings.contains(warning.text) {
                        warnings.append(warning.text)
                    }
                } catch let error as ShellError {
                    Terminal.complain(
                        "error: \(file), from \(rfc3339Text(millis: time)): \(error)")
                    throw ExitCode(error.exit.rawValue)
                }
                time = until + step
            }
        }
        Terminal.write("\(samples) samples written, \(refused) refused\n")
        for warning in warnings { Terminal.complain("warning: \(warning)") }
        if refused > 0 { throw ExitCode(ShellExit.partial.rawValue) }
    }

    /// First and last evaluation and the time between them, in milliseconds; the first on the grid.
    private func times() throws -> (Int64, Int64, Int64) {
        func time(_ text: String, _ option: String) throws -> Int64 {
            do { return try parseTimeMillis(text) } catch {
                throw ValidationError("\(option) takes RFC 3339 or Unix seconds, not \(text)")
            }
        }
        let step: Int64
        do { step = try parseDurationMillis(evalInterval) } catch {
            throw ValidationError("--eval-interval takes a duration such as 1m: \(error)")
        }
        guard step > 0 else { throw ValidationError("--eval-interval must be above 0") }
        let (first, last) = (try time(start, "--start"), try time(end, "--end"))
        guard first < last else { throw ValidationError("--start must be before --end") }
        return (first - (first % step + step) % step, last, step)
    }

    private func seconds(_ millis: Int64) -> String {
        var text: [UInt8] = []
        appendSeconds(millis: millis, into: &text)
        return String(decoding: text, as: UTF8.self)
    }
}
