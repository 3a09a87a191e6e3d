// Operators that were called once, called again in the same order, without Python in between: after
// a large product no cache holds Python's code any more, and every call of it waits for memory.
//
// A recording has numbered registers for tensors. The inputs of a replay come first; constants, as
// packed weights are, have theirs for good; every call reads registers and fills others.
#include <ATen/ATen.h>
#include <ATen/ScalarOps.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/custom_class.h>
#include <torch/library.h>

#include <string>
#include <utility>
#include <vector>

namespace caffe_fast_rcnn {
namespace {

// A tensor among the arguments of a call, or a list of them.
struct Operand {
  size_t place;
  std::vector<int64_t> registers;
  bool is_list;
};

struct Call {
  c10::OperatorHandle op;
  std::vector<c10::IValue> arguments;  // all of them; those of Operands are empty
  std::vector<Operand> operands;
  std::vector<int64_t> results, last_used;  // registers that it fills, and that none reads later
};

struct Recording : torch::CustomClassHolder {
  // inputs: how many tensors a replay begins with.
  explicit Recording(int64_t inputs) : inputs_(inputs), registers_(inputs) {}

  // Begins with the call of an operator; all that follows up to `end` is about it.
  void begin(const std::string& name, const std::string& overload) {
    const auto op = c10::Dispatcher::singleton().findSchemaOrThrow(name.c_str(), overload.c_str());
    Call call{op, {}, {}, {}, {}};
    for (const c10::Argument& argument : op.schema().arguments()) {
      call.arguments.push_back(argument.default_value().value_or(c10::IValue()));
    }
    calls_.push_back(std::move(call));
  }

  // The argument at `place` is this value, which is no tensor.
  void set_value(int64_t place, const c10::IValue& value) {
    const c10::TypePtr& type = current().op.schema().arguments().at(place).type();
    current().arguments.at(place) = fitted(value, *type);
  }

  // The argument at `place` is a list of nothing.
  void set_empty_list(int64_t place) {
    c10::TypePtr type = current().op.schema().arguments().at(place).type();
    if (const auto* inner = type->castRaw<c10::OptionalType>()) type = inner->getElementType();
    const auto* list = type->castRaw<c10::ListType>();
    TORCH_CHECK_VALUE(list != nullptr, "Recording: ", current().op.schema(),
                      " has no list as argument ", place);
    current().arguments.at(place) = c10::impl::GenericList(list->getElementType());
  }

  // The argument at `place` is what this register holds.
  void set_operand(int64_t place, int64_t index) { add({size_t(place), {index}, false}); }

  // The argument at `place` is a list of what these registers hold.
  void set_operands(int64_t place, const std::vector<int64_t>& indices) {
    add({size_t(place), indices, true});
  }

  // The call fills these registers, new ones or others.
  void end(const std::vector<int64_t>& results) {
    for (const int64_t index : results) make_room(index);
    current().results = results;
  }

  // The register holds this tensor at the begin of every replay.
  void set_constant(int64_t index, const at::Tensor& tensor) {
    make_room(index);
    registers_[index] = tensor;
  }

  // The recording is complete; a replay returns these registers, and lets go of all others as soon
  // as nothing reads them any more.
  void finish(const std::vector<int64_t>& outputs) {
    outputs_ = outputs;
    std::vector<bool> is_needed(registers_.size());
    for (const int64_t index : outputs) is_needed.at(index) = true;
    for (auto call = calls_.rbegin(); call != calls_.rend(); ++call) {
      std::vector<int64_t> seen = call->results;
      for (const Operand& operand : call->operands) {
        seen.insert(seen.end(), operand.registers.begin(), operand.registers.end());
      }
      for (const int64_t index : seen) {
        if (!is_needed.at(index)) call->last_used.push_back(index);
        is_needed[index] = true;
      }
    }
  }

  std::vector<at::Tensor> replay(const std::vector<at::Tensor>& inputs) const {
    TORCH_CHECK_VALUE(static_cast<int64_t>(inputs.size()) == inputs_, "Recording: expected ",
                      inputs_, " inputs, got ", inputs.size());
    const at::AutoDispatchBelowAutograd no_gradients;
    std::vector<at::Tensor> registers = registers_;
    std::copy(inputs.begin(), inputs.end(), registers.begin());
    torch::jit::Stack stack;
    for (const Call& call : calls_) {
      stack = call.arguments;
      for (const Operand& operand : call.operands) stack[operand.place] = read(operand, registers);
      call.op.callBoxed(&stack);
      store(call, stack, registers);
      for (const int64_t index : call.last_used) registers[index].reset();
    }
    std::vector<at::Tensor> outputs;
    for (const int64_t index : outputs_) outputs.push_back(registers[index]);
    return outputs;
  }

 private:
  int64_t inputs_;
  std::vector<at::Tensor> registers_;  // as they are at the begin of a replay
  std::vector<Call> calls_;
  std::vector<int64_t> outputs_;

  Call& current() {
    TORCH_CHECK_VALUE(!calls_.empty(), "Recording: begin comes first");
    return calls_.back();
  }

  void make_room(int64_t index) {
    TORCH_CHECK_VALUE(index >= 0, "Recording: there is no register ", index);
    if (index >= static_cast<int64_t>(registers_.size())) registers_.resize(index + 1);
  }

  void add(Operand operand) {
    TORCH_CHECK_VALUE(operand.place < current().arguments.size(), "Recording: ",
                      current().op.schema(), " has no argument ", operand.place);
    for (const int64_t index : operand.registers) make_room(index);
    current().operands.push_back(std::move(operand));
  }

  // A value as Python knows it, as the operator wants it: no int for a float, no number for a
  // tensor.
  static c10::IValue fitted(const c10::IValue& value, const c10::Type& type) {
    if (const auto* inner = type.castRaw<c10::OptionalType>()) {
      return value.isNone() ? value : fitted(value, *inner->getElementType());
    }
    if (type.kind() == c10::TypeKind::FloatType && value.isInt()) return double(value.toInt());
    if (type.kind() == c10::TypeKind::TensorType && value.isScalar()) {
      return at::native::wrapped_scalar_tensor(value.toScalar());
    }
    const auto* list = type.castRaw<c10::ListType>();
    if (list == nullptr || !value.isList()) return value;
    const c10::TypePtr element = list->getElementType();
    if (value.isIntList() && element->isSubtypeOf(*c10::IntType::get())) return value;
    c10::impl::GenericList items(element);
    for (const c10::IValue& item : value.toListRef()) items.push_back(fitted(item, *element));
    return items;
  }

  static c10::IValue read(const Operand& operand, const std::vector<at::Tensor>& registers) {
    if (!operand.is_list) return registers[operand.registers.front()];
    c10::List<at::Tensor> list;
    for (const int64_t index : operand.registers) list.push_back(registers[index]);
    return list;
  }

  static void store(const Call& call, const torch::jit::Stack& stack,
                    std::vector<at::Tensor>& registers) {
    size_t filled = 0;
    const auto put = [&](const at::Tensor& tensor) {
      TORCH_CHECK(filled < call.results.size(), "Recording: ", call.op.schema().name(),
                  " returned more tensors than before");
      registers[call.results[filled++]] = tensor;
    };
    for (const c10::IValue& value : stack) {
      if (value.isTensor()) put(value.toTensor());
      if (value.isTensorList()) {
        for (const at::Tensor& tensor : value.toTensorVector()) put(tensor);
      }
    }
  }
};

}  // namespace

TORCH_LIBRARY_FRAGMENT(caffe_fast_rcnn, m) {
  m.class_<Recording>("Recording")
      .def(torch::init<int64_t>())
      .def("begin", &Recording::begin)
      .def("set_value", &Recording::set_value)
      .def("set_empty_list", &Recording::set_empty_list)
      .def("set_operand", &Recording::set_operand)
      .def("set_operands", &Recording::set_operands)
      .def("end", &Recording::end)
      .def("set_constant", &Recording::set_constant)
      .def("finish", &Recording::finish)
      .def("replay", &Recording::replay);
}

}  // namespace caffe_fast_rcnn
