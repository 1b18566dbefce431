/*
 * compile_clang: C text to a shared object inside this process. The only file that sees LLVM.
 *
 * The flags go through Clang's own driver, so that they mean here what they mean to clang-19 on a
 * command line (contraction, errno, -march=native); it looks at an empty file system, which keeps
 * it from searching for a gcc. The text never touches the disk: front end, passes and code
 * generator work in memory, and lld as a library links the object.
 *
 * One mutex round everything. A compilation has a thread of its own with a large stack, so that it
 * does not matter how small the caller's is, and so that a fatal error of LLVM, which would end
 * the process, ends only the compilation.
 */
#include "runtime/jit.h"

#include <clang/Basic/DiagnosticOptions.h>
#include <clang/Basic/Version.h>
#include <clang/CodeGen/BackendUtil.h>
#include <clang/CodeGen/CodeGenAction.h>
#include <clang/Driver/Compilation.h>
#include <clang/Driver/Driver.h>
#include <clang/Frontend/CompilerInstance.h>
#include <clang/Frontend/CompilerInvocation.h>
#include <clang/Frontend/FrontendOptions.h>
#include <clang/Lex/HeaderSearchOptions.h>
#include <lld/Common/Driver.h>
#include <llvm/IR/LLVMContext.h>
#include <llvm/IR/Module.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Passes/PassBuilder.h>
#include <llvm/Support/CrashRecoveryContext.h>
#include <llvm/Support/ErrorHandling.h>
#include <llvm/Support/MemoryBuffer.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/Support/VirtualFileSystem.h>
#include <llvm/Support/raw_ostream.h>
#include <llvm/Support/thread.h>
#include <llvm/Target/TargetMachine.h>
#include <llvm/TargetParser/Host.h>

#include <csetjmp>
#include <csignal>
#include <cstdio>
#include <mutex>
#include <string>

#include <dlfcn.h>

LLD_HAS_DRIVER(elf)

namespace
{

constexpr char source_name[] = "step.c";
constexpr unsigned stack_bytes = 64u << 20;

std::mutex one_at_a_time;
bool broken; /* LLVM gave up in the middle of something: it is not asked again */

/* Keeps the first error as "step.c:12: what was wrong". */
class FirstError : public clang::DiagnosticConsumer
{
  public:
    std::string text;

    void HandleDiagnostic(clang::DiagnosticsEngine::Level level,
                          const clang::Diagnostic &info) override
    {
        clang::DiagnosticConsumer::HandleDiagnostic(level, info);
        if (level < clang::DiagnosticsEngine::Error || !text.empty())
            return;
        llvm::SmallString<256> words;
        info.FormatDiagnostic(words);
        if (info.hasSourceManager() && info.getLocation().isValid()) {
            clang::PresumedLoc at = info.getSourceManager().getPresumedLoc(info.getLocation());
            if (at.isValid())
                text = std::string(at.getFilename()) + ":" + std::to_string(at.getLine()) + ": ";
        }
        text += words.str();
    }
};

using FileSystem = llvm::IntrusiveRefCntPtr<llvm::vfs::FileSystem>;

/* The arguments of cc1 that the driver would use for these flags; empty when it refuses them. */
std::vector<std::string> arguments_of(const run_job &job, clang::DiagnosticsEngine &diagnostics,
                                      const FileSystem &files)
{
    clang::driver::Driver driver("clang-19", llvm::sys::getDefaultTargetTriple(), diagnostics,
                                 "taper", files);
    driver.setCheckInputsExist(false);
    /* a kernel that is called once stays a function: one of all kernels is slow to compile */
    std::vector<const char *> line{ "clang-19", "-nostdinc", "-finline-hint-functions" };
    line.insert(line.end(), job.flags, job.flags + job.flag_count);
    line.insert(line.end(), { "-c", "-x", "c", source_name, "-o", "step.o" });
    std::unique_ptr<clang::driver::Compilation> plan(driver.BuildCompilation(line));
    if (!plan || diagnostics.hasErrorOccurred() || plan->getJobs().size() != 1)
        return {};
    const llvm::opt::ArgStringList &found = plan->getJobs().begin()->getArguments();
    return std::vector<std::string>(found.begin(), found.end());
}

/*
 * What is left to do for text that is vectorised, unrolled and hoisted already: a third of the
 * default pipeline's time for the same code. Neither vectoriser runs, nor GVN. The small functions
 * that everybody calls are made smaller first.
 */
constexpr char short_passes[] =
    "function(sroa,early-cse),cgscc(inline),function(sroa,early-cse,simplifycfg,loop-mssa(loop-"
    "rotate,licm),"
    "loop(loop-unroll-full),sroa,instcombine,early-cse<memssa>,loop-mssa(licm),simplifycfg,adce)";

bool run_short_passes(llvm::Module &module, const clang::TargetOptions &options,
                      std::string &message)
{
    std::string why;
    const llvm::Target *target = llvm::TargetRegistry::lookupTarget(module.getTargetTriple(), why);
    if (!target) {
        message = why;
        return false;
    }
    std::string features;
    for (const std::string &feature : options.Features)
        features += (features.empty() ? "" : ",") + feature;
    std::unique_ptr<llvm::TargetMachine> machine(target->createTargetMachine(
        module.getTargetTriple(), options.CPU, features, llvm::TargetOptions(), llvm::Reloc::PIC_));

    llvm::LoopAnalysisManager loops;
    llvm::FunctionAnalysisManager functions;
    llvm::CGSCCAnalysisManager components;
    llvm::ModuleAnalysisManager modules;
    llvm::PassBuilder builder(machine.get());
    builder.registerModuleAnalyses(modules);
    builder.registerCGSCCAnalyses(components);
    builder.registerFunctionAnalyses(functions);
    builder.registerLoopAnalyses(loops);
    builder.crossRegisterProxies(loops, functions, components, modules);
    llvm::ModulePassManager passes;
    if (llvm::Error bad = builder.parsePassPipeline(passes, short_passes)) {
        message = llvm::toString(std::move(bad));
        return false;
    }
    passes.run(module, modules);
    return true;
}

enum run_outcome object_of(const run_job &job, llvm::SmallVectorImpl<char> &object,
                           std::string &message)
{
    llvm::IntrusiveRefCntPtr<llvm::vfs::InMemoryFileSystem> files(
        new llvm::vfs::InMemoryFileSystem);
    files->addFile(
        source_name, 0,
        llvm::MemoryBuffer::getMemBuffer(llvm::StringRef(job.text, job.length), source_name));

    FirstError first;
    clang::DiagnosticsEngine early(new clang::DiagnosticIDs, new clang::DiagnosticOptions, &first,
                                   /*ShouldOwnClient=*/false);
    std::vector<std::string> words = arguments_of(job, early, files);
    std::vector<const char *> line;
    for (const std::string &word : words)
        line.push_back(word.c_str());
    auto invocation = std::make_shared<clang::CompilerInvocation>();
    if (line.empty() || line[0] != llvm::StringRef("-cc1") ||
        !clang::CompilerInvocation::CreateFromArgs(
            *invocation, llvm::ArrayRef<const char *>(line).drop_front(), early)) {
        message = first.text.empty() ? "the flags were refused" : first.text;
        return RUN_REFUSED;
    }
    invocation->getDiagnosticOpts().ShowCarets = false; /* nor "1 error generated." */
    invocation->getFrontendOpts().DisableFree = false;  /* the process goes on living */
    invocation->getCodeGenOpts().DisableFree = false;
    invocation->getCodeGenOpts().DisableLLVMPasses = true;      /* they run below */
    invocation->getCodeGenOpts().DisableLifetimeMarkers = true; /* hardly anything has an address */

    clang::CompilerInstance clang;
    clang.setInvocation(invocation);
    clang.createDiagnostics(&first, /*ShouldOwnClient=*/false);
    clang.createFileManager(files);
    llvm::LLVMContext context;
    clang::EmitLLVMOnlyAction front(&context);
    bool fine = clang.ExecuteAction(front);
    std::unique_ptr<llvm::Module> module = front.takeModule();
    if (!fine || !module || clang.getDiagnostics().hasErrorOccurred()) {
        message = first.text.empty() ? "no module came out" : first.text;
        return RUN_REFUSED;
    }

    const bool straight = job.straight && clang.getCodeGenOpts().OptimizationLevel > 0;
    if (straight && !run_short_passes(*module, clang.getTargetOpts(), message))
        return RUN_BROKEN;
    clang.getCodeGenOpts().DisableLLVMPasses = straight;
    clang::EmitBackendOutput(clang.getDiagnostics(), clang.getHeaderSearchOpts(),
                             clang.getCodeGenOpts(), clang.getTargetOpts(), clang.getLangOpts(),
                             clang.getTarget().getDataLayoutString(), module.get(),
                             clang::Backend_EmitObj, files,
                             std::make_unique<llvm::raw_svector_ostream>(object));
    if (clang.getDiagnostics().hasErrorOccurred() || object.empty()) {
        message = first.text.empty() ? "no code came out" : first.text;
        return RUN_REFUSED;
    }
    return RUN_COMPILED;
}

bool write_file(const std::string &path, const llvm::SmallVectorImpl<char> &bytes,
                std::string &message)
{
    std::FILE *file = std::fopen(path.c_str(), "wbxe");
    bool fine = file && std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size();
    if (file && std::fclose(file) != 0)
        fine = false;
    if (!fine)
        message = path + " cannot be written";
    return fine;
}

enum run_outcome link(const std::string &object, const char *output, std::string &message)
{
    /* not by mmap: a full disk would be a bus error */
    const char *line[] = { "ld.lld",
                           "-shared",
                           "--threads=1",
                           "--no-mmap-output-file",
                           "--build-id=none",
                           "--eh-frame-hdr",
                           "-z",
                           "now",
                           "-o",
                           output,
                           object.c_str() };
    llvm::raw_string_ostream said(message);
    llvm::CrashRecoveryContext::Enable(); /* or a fatal error of lld would end the process */
    lld::Result result = lld::lldMain(line, said, said, { { lld::Gnu, &lld::elf::link } });
    llvm::CrashRecoveryContext::Disable();
    if (!result.canRunAgain)
        broken = true;
    if (result.retCode != 0 && message.empty())
        message = "lld failed without a word";
    return result.retCode == 0 ? RUN_COMPILED : RUN_BROKEN;
}

enum run_outcome compile_here(const run_job &job, std::string &message)
{
    static std::once_flag once;
    std::call_once(once, [] {
        llvm::InitializeNativeTarget();
        llvm::InitializeNativeTargetAsmPrinter();
        llvm::InitializeNativeTargetAsmParser();
    });
    llvm::SmallVector<char, 0> bytes;
    enum run_outcome outcome = object_of(job, bytes, message);
    if (outcome != RUN_COMPILED)
        return outcome;
    std::string object = job.library ? std::string(job.output) + ".o" : job.output;
    if (!write_file(object, bytes, message))
        return RUN_BROKEN;
    return job.library ? link(object, job.output, message) : RUN_COMPILED;
}

/* Where a fatal error of LLVM goes on, and what it said. */
struct Escape {
    std::jmp_buf back;
    char said[256];
};

void on_fatal_error(void *user, const char *reason, bool)
{
    Escape *escape = static_cast<Escape *>(user);
    std::snprintf(escape->said, sizeof escape->said, "%s", reason);
    std::longjmp(escape->back, 1); /* what the compilation held is lost, and `broken` says so */
}

/*
 * lld catches signals to remove its temporary file, on a stack that LLVM sets for the thread; the
 * program's own handlers, and a sanitizer's stack, come back after.
 */
class KeepSignals
{
    struct sigaction saved[NSIG];

  public:
    KeepSignals()
    {
        for (int s = 1; s < NSIG; s++)
            if (sigaction(s, nullptr, &saved[s]) != 0)
                saved[s].sa_handler = SIG_ERR;
    }
    ~KeepSignals()
    {
        for (int s = 1; s < NSIG; s++) {
            struct sigaction now;
            if (saved[s].sa_handler != SIG_ERR && sigaction(s, nullptr, &now) == 0 &&
                now.sa_handler != saved[s].sa_handler)
                sigaction(s, &saved[s], nullptr);
        }
    }
};

enum run_outcome compile(const run_job *job)
{
    std::lock_guard<std::mutex> guard(one_at_a_time);
    std::string message;
    enum run_outcome outcome = RUN_BROKEN;
    if (broken) {
        message = "it failed before in this process";
    } else {
        KeepSignals keep;
        llvm::thread worker(std::optional<unsigned>(stack_bytes), [&] {
            Escape escape;
            stack_t stack;
            sigaltstack(nullptr, &stack);
            llvm::ScopedFatalErrorHandler handler(on_fatal_error, &escape);
            if (setjmp(escape.back) == 0) {
                outcome = compile_here(*job, message);
            } else {
                broken = true;
                outcome = RUN_BROKEN;
                message = escape.said;
            }
            sigaltstack(&stack, nullptr);
        });
        worker.join();
    }
    if (outcome != RUN_COMPILED && job->message_size)
        std::snprintf(job->message, job->message_size, "%s", message.c_str());
    return outcome;
}

const char *version()
{
    static const std::string text = clang::getClangFullVersion();
    return text.c_str();
}

/* Upgrading any of these is a new compiler. Found once: dladdr reads all of LLVM's symbols. */
const char *file(int index)
{
    static const std::vector<std::string> files = [] {
        const void *const inside[] = { &taper_jit,
                                       reinterpret_cast<const void *>(&clang::getClangFullVersion),
                                       reinterpret_cast<const void *>(&llvm::sys::getHostCPUName) };
        std::vector<std::string> found;
        Dl_info where;
        for (const void *address : inside)
            if (dladdr(address, &where))
                found.push_back(where.dli_fname);
        return found;
    }();
    return index >= 0 && (size_t)index < files.size() ? files[index].c_str() : nullptr;
}

} // namespace

const struct run_jit taper_jit = { RUN_JIT_ABI, version, file, compile };
