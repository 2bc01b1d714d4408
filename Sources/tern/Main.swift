// SPDX-License-Identifier: Apache-2.0
// The executable: one file per family of subcommands.

import ArgumentParser
import Base

@main
struct Tern: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tern",
        abstract: "Metrics, logs and traces in one binary, linked by service and trace id.",
        version: Base.version,
        subcommands: [
            ServeCommand.self, QueryCommand.self, TraceCommand.self, ServicesCommand.self,
            LabelsCommand.self, SeriesCommand.self, ShellCommand.self, CheckCommand.self,
            VersionCommand.self,
        ])
}

struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "version", abstract: "Print the version.")

    func run() { print("tern \(Base.version)") }
}
