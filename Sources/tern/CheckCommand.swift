// SPDX-License-Identifier: Apache-2.0
// `tern check`: offline verification.

import ArgumentParser
import Server
import Shell

struct CheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Verify a data directory, a configuration or rules.",
        subcommands: [CheckData.self, CheckConfig.self, CheckRules.self])
}

struct CheckData: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "data",
        abstract: "Verify every record, part, section and index of a directory not in use.")
    @Argument(help: "Data directory.")
    var directory: String

    func run() throws {
        let report = try checkData(directory)
        Terminal.write(report.text)
        if !report.isSound { throw ExitCode.failure }
    }
}

struct CheckConfig: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "Verify a configuration file.")
    @Argument(help: "The file.")
    var file: String

    func run() throws {
        do {
            let configuration = try loadConfiguration(file)
            for note in configuration.notes { Terminal.complain("note: \(note)") }
            let faults =
                configuration.missingFiles + configuration.uselessTargets
                + configuration.faultyTargetFiles
            if !faults.isEmpty {
                for fault in faults { Terminal.complain("\(file): \(fault)") }
                throw ExitCode.failure
            }
            Terminal.write("\(file): valid, \(configuration.summary)\n")
        } catch let error as ConfigurationError {
            Terminal.complain("\(file): \(error)")
            throw ExitCode.failure
        } catch let error as RuleFileError {
            Terminal.complain("\(error)")
            throw ExitCode.failure
        }
    }
}
