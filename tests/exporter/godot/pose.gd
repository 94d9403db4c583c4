# Plays the clip of res://avatar.glb as Godot imported it and writes what its renderer would morph and skin.
#   godot3-server --path PROJECT -s pose.gd
# Reads res://request.json, {"seconds": [...]}. Writes res://posed.json (what there is, and where its bytes lie) and
# res://posed.bin. The server has no renderer, so the two sums of its vertex shader are left to the caller.
extends SceneTree

var bytes = File.new()
var told = {"arrays": {}, "nodes": [], "frames": [], "played": []}
var heads = []
var head = null
var player = null


func _initialize():
	var request = File.new()
	request.open("res://request.json", File.READ)
	var seconds = JSON.parse(request.get_as_text()).result["seconds"]
	request.close()
	bytes.open("res://posed.bin", File.WRITE)
	var scene = load("res://avatar.glb").instance()
	get_root().add_child(scene)
	find(scene)
	if heads.size() == 1 and player != null:
		head = heads[0]
		dump_mesh()
		dump_poses(seconds)
	bytes.close()
	var out = File.new()
	out.open("res://posed.json", File.WRITE)
	out.store_string(JSON.print(told))
	out.close()
	quit() # or the server runs on for ever


func find(node):
	told["nodes"].append([node.name, node.get_class()])
	if node is MeshInstance and node.skin != null:
		heads.append(node)
	if node is AnimationPlayer:
		player = node
	for child in node.get_children():
		find(child)


# The bytes of a pool array without the two words (type and count) that Variants begin with; floats and ints of 32 bits.
func dump(name, array):
	var data = var2bytes(array)
	told["arrays"][name] = [bytes.get_position() + 8, data.size() - 8]
	bytes.store_buffer(data)


func dump_mesh():
	var mesh = head.mesh
	var arrays = mesh.surface_get_arrays(0)
	dump("vertices", arrays[Mesh.ARRAY_VERTEX])
	dump("uvs", arrays[Mesh.ARRAY_TEX_UV])
	dump("bones", arrays[Mesh.ARRAY_BONES])
	dump("weights", arrays[Mesh.ARRAY_WEIGHTS])
	dump("indices", arrays[Mesh.ARRAY_INDEX])
	told["normalized"] = mesh.get_blend_shape_mode() == Mesh.BLEND_SHAPE_MODE_NORMALIZED
	told["shapes"] = []
	var shapes = mesh.surface_get_blend_shape_arrays(0)
	for i in range(mesh.get_blend_shape_count()):
		told["shapes"].append(mesh.get_blend_shape_name(i))
		if i < shapes.size():
			dump("shape%d" % i, shapes[i][Mesh.ARRAY_VERTEX])
	var material = mesh.surface_get_material(0)
	told["material"] = {
		"unshaded": material.flags_unshaded,
		"both_sides": material.params_cull_mode == SpatialMaterial.CULL_DISABLED,
		"texture": material.albedo_texture != null,
		"vertex_colors": material.vertex_color_use_as_albedo,
	}
	told["surfaces"] = mesh.get_surface_count()


func dump_poses(seconds):
	var clips = player.get_animation_list()
	told["clips"] = clips
	told["length"] = player.get_animation(clips[0]).length
	player.play(clips[0])
	for time in seconds:
		player.seek(time, true)
		told["frames"].append(pose())
	# Once more, as a running game has it: step by step, without being told where to be.
	player.stop(true)
	player.play(clips[0])
	player.advance(0)
	var now = 0.0
	for time in seconds:
		player.advance(time - now)
		now = time
		told["played"].append(pose())


func pose():
	var weights = []
	for name in told["shapes"]:
		weights.append(head.get("blend_shapes/" + name))
	var skeleton = head.get_node(head.skeleton)
	var transforms = []
	for i in range(head.skin.get_bind_count()):
		var name = head.skin.get_bind_name(i)
		var bone = skeleton.find_bone(name) if name != "" else head.skin.get_bind_bone(i)
		var t = skeleton.global_transform * skeleton.get_bone_global_pose(bone) * head.skin.get_bind_pose(i)
		transforms.append([t.basis.x.x, t.basis.y.x, t.basis.z.x, t.origin.x, t.basis.x.y, t.basis.y.y, t.basis.z.y, t.origin.y,
			t.basis.x.z, t.basis.y.z, t.basis.z.z, t.origin.z])
	return {"weights": weights, "transforms": transforms}
