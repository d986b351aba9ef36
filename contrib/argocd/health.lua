-- Health of an ElectionGroup for Argo CD: resource.customizations.health.election-operator.io_ElectionGroup
local function is(status, message)
  return { status = status, message = message }
end

local status = obj.status or {}
local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end

local ready = conditions.Ready
if ready == nil or ready.status == "Unknown" then
  return is("Progressing", "waiting for the operator")
end
if status.observedGeneration ~= obj.metadata.generation then
  return is("Progressing", "the operator has not seen the latest spec")
end
if conditions.Stalled ~= nil and conditions.Stalled.status == "True" then
  return is("Degraded", conditions.Stalled.message)
end
if ready.reason == "Paused" then
  return is("Suspended", ready.message)
end
if ready.status == "True" then
  return is("Healthy", ready.message)
end
-- A group without a leader is new as long as it never had one: its pods are not Ready yet.
if status.term == nil or conditions.Reconciling ~= nil then
  return is("Progressing", ready.message)
end
return is("Degraded", ready.message)
