// SPDX-License-Identifier: Apache-2.0
// The real binary as a process.

import Base
import FoundationEssentials
import Glibc
import TestKit

/// What a finished command left.
struct Outcome: Sendable {
    /// Exit code, or minus the signal that ended it.
    var code: Int32
    var output: String
    var errors: String
}

/// The program could not be started or did not do what it should in time.
struct ProgramError: Error, CustomStringConvertible {
    var description: String
}

/// A running `tern`; its output goes to files, so that nothing ever blocks on a pipe.
final class Program: Sendable {
    let process: pid_t
    private let outputPath: String
    private let errorsPath: String

    /// Built beside the test bundle: the bundle's own place leads to it.
    static func binary() throws -> String {
        let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let path =
            own.split(separator: "/", omittingEmptySubsequences: false).dropLast()
            .joined(separator: "/") + "/tern"
        guard FileManager.default.isExecutableFile(atPath: path) else {
            throw ProgramError(description: "\(path) is not built")
        }
        return path
    }

    /// - Parameters:
    ///   - folder: where output and input are kept.
    ///   - environment: the whole environment of the process.
    ///   - input: standard input, all of it.
    init(
        _ arguments: [String], in folder: String, environment: [String: String] = [:],
        input: String = ""
    ) throws {
        let stem = folder + "/" + UUID().uuidString
        outputPath = stem + ".out"
        errorsPath = stem + ".err"
        try Data(input.utf8).write(to: URL(filePath: stem + ".in"))
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, stem + ".in", O_RDONLY, 0)
        let write = O_WRONLY | O_CREAT | O_TRUNC
        posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, outputPath, write, 0o600)
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, errorsPath, write, 0o600)
        let path = try Program.binary()
        var argv = ([path] + arguments).map { strdup($0) } + [nil]
        var variables =
            (["HOME=" + folder, "SWIFT_BACKTRACE=enable=no"]
            + environment.map { $0.key + "=" + $0.value }).map { strdup($0) } + [nil]
        defer { for pointer in argv + variables { free(pointer) } }
        var process = pid_t()
        let code = posix_spawn(&process, path, &actions, nil, &argv, &variables)
        guard code == 0 else { throw ProgramError(description: "cannot start \(path): \(code)") }
        self.process = process
    }

    var output: String { Program.text(outputPath) }
    var errors: String { Program.text(errorsPath) }

    private static func text(_ path: String) -> String {
        String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
    }

    func signal(_ number: Int32) { kill(process, number) }

    /// Waits for the end; kills the process when it does not come in time.
    func wait(seconds: Double = 60) async throws -> Outcome {
        for _ in 0..<Int(seconds * 100) {
            var status: Int32 = 0
            if waitpid(process, &status, WNOHANG) == process {
                let signal = status & 0x7f
                let code = signal == 0 ? (status >> 8) & 0xff : -signal
                return Outcome(code: code, output: output, errors: errors)
            }
            try await Task.sleep(for: .milliseconds(10))
        }
        kill(process, SIGKILL)
        var status: Int32 = 0
        waitpid(process, &status, 0)
        throw ProgramError(description: "did not end within \(seconds) s: \(errors)")
    }
}

/// Runs a command to its end.
func tern(
    _ arguments: [String], in folder: String, environment: [String: String] = [:],
    input: String = ""
) async throws -> Outcome {
    try await Program(arguments, in: folder, environment: environment, input: input).wait()
}

/// A server process that serves.
struct ServerProcess: Sendable {
    let program: Program
    let port: Int
    let otlpPort: Int

    /// Starts a server on free ports and waits until it is ready.
    static func start(
        _ directory: String, in folder: String, flags: [String] = []
    ) async throws -> ServerProcess {
        let program = try Program(
            [
                "serve", "--storage.path", directory, "--web.listen-address", "127.0.0.1:0",
                "--otlp.http-listen-address", "127.0.0.1:0", "--otlp.grpc-listen-address",
                "127.0.0.1:0",
            ] + flags, in: folder)
        for _ in 0..<3000 {
            let lines = program.errors.split(separator: "\n")
            func port(_ name: String) -> Int? {
                let line = lines.first {
                    $0.contains("msg=listening") && $0.hasSuffix("serves=" + name)
                }
                let address = line?.split(separator: " ").first { $0.hasPrefix("address=") }
                return address?.split(separator: ":").last.flatMap { Int($0) }
            }
            if let http = port("http"), let otlp = port("otlp-http"),
                lines.contains(where: { $0.hasSuffix("msg=ready") })
            {
                return ServerProcess(program: program, port: http, otlpPort: otlp)
            }
            if waitpid(program.process, nil, WNOHANG) != 0 { break }
            try await Task.sleep(for: .milliseconds(10))
        }
        throw ProgramError(description: "no server: \(program.errors)")
    }

    func get(_ target: String) async throws -> HTTPReply {
        let port = self.port
        return try await onThread { try exchange(port: port, "GET", target) }
    }

    func post(
        _ target: String, _ type: String, _ body: [UInt8], port: Int? = nil
    ) async throws -> HTTPReply {
        let port = port ?? self.port
        return try await onThread {
            try exchange(
                port: port, "POST", target, headers: [("Content-Type", type)], body: body)
        }
    }

    var url: String { "http://127.0.0.1:\(port)" }

    /// SIGTERM, and the end.
    func stop() async throws -> Outcome {
        program.signal(SIGTERM)
        return try await program.wait(seconds: 20)
    }
}
