// SPDX-License-Identifier: Apache-2.0
// The laboratory: load, crash loops and benchmarks.

import ArgumentParser

@main
struct Lab: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lab", abstract: "Load, crash and benchmark a server.",
        subcommands: [
            LoadCommand.self, CrashCommand.self, BenchCommand.self, ScrapeCommand.self,
        ])
}

/// Why the laboratory stops.
struct LabError: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}
